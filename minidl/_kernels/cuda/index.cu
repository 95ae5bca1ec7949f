// Rows of a table. An index outside it reads nothing: it gives NaN.
extern "C" __global__ void look_up(const REAL* table__vd, const long long* indices__n, REAL* rows__nd, INDEX count,
                                   INDEX values, INDEX depth)
{
    FOR_EACH(at, count) {
        const long long place = indices__n[at / depth];
        rows__nd[at] = place >= 0 && place < values ? table__vd[place * depth + at % depth] : (REAL)NAN;
    }
}

// Sums by place, without atomics: the places come sorted, with the order that sorted them, and each result adds up its own run.

extern "C" __global__ void sum_by_place(const REAL* values__nd, const long long* sorted, const long long* order,
                                        REAL* sums__vd, INDEX count, INDEX values, INDEX depth)
{
    FOR_EACH(at, count) {
        const INDEX d = at % depth;
        const long long place = at / depth;
        INDEX low = 0, high = values;          // the first of the run, by halving
        while (low < high) {
            const INDEX middle = (low + high) / 2;
            if (sorted[middle] < place)
                low = middle + 1;
            else
                high = middle;
        }
        REAL sum = 0;
        for (; low < values && sorted[low] == place; low++)
            sum += values__nd[order[low] * depth + d];
        sums__vd[at] = sum;
    }
}

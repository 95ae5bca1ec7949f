"""Pictures and pages: the gradient certificate, learning curves, filters, confusion matrices."""

from minidl.train.curves import plot_history
from minidl.viz.certificate import write_certificate_page
from minidl.viz.pictures import plot_confusion, plot_filters, plot_images

__all__ = ["plot_confusion", "plot_filters", "plot_history", "plot_images", "write_certificate_page"]

"""Pictures and pages: graphs to step through, convolutions to play with, the certificate, curves, filters."""

from minidl.train.curves import plot_history
from minidl.viz.certificate import write_certificate_page
from minidl.viz.convolution import conv_player
from minidl.viz.pictures import plot_confusion, plot_filters, plot_images
from minidl.viz.stepper import graph

__all__ = [
    "conv_player",
    "graph",
    "plot_confusion",
    "plot_filters",
    "plot_history",
    "plot_images",
    "write_certificate_page",
]

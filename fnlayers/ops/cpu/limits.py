"""Where one algorithm for CPUs becomes faster than another."""

from typing import NamedTuple


class Limits(NamedTuple):
    """What the rows of `ops/cpu/table/` compare with; measured with jax 0.10 on x86-64, in float32 unless said."""

    # Products
    product_rows: int = 512  # from which on XLA's own code is faster than YNNPACK: 1.1 times on average
    # Attention and recurrent layers
    least_scanned_batch: int = 4  # from which on features before the batch are faster, if so many features and units
    least_scanned_features: int = 32
    least_scanned_units: int = 128
    least_scanned_elements: int = 2048  # of an LSTM's h
    large_scanned_batch: int = 32  # from which on they are forward, too
    large_single_gate_units: int = 256  # from which on they are in training for a single gate
    few_gate_elements: int = 4096  # of all gates in a step: for no more x is projected before the scan in training
    few_scanned_rows: int = 16  # the same for no more rows of the batch
    large_input_kernel: int = 1 << 16  # elements of x's weights, from which on reading them in each step takes longest
    half_precision_features: int = 128  # from which on a product in half precision is slow in each step
    # Windows
    unrolled_taps: int = 64  # a window of more is left to the reference: each tap is a slice of x
    instruction_channels: int = 16  # fewer take a convolution as long
    # Products in place of 1x1 convolutions, which where x is strided must gather their rows
    strided_multiplications: int = 1 << 24  # from which on the product is the faster one, in programs with YNNPACK
    strided_channels: int = 64  # from which on XLA's own convolution is the faster one of any size
    thin_multiplications: int = 1 << 20  # the same for x of `thin_channels` or fewer
    thin_channels: int = 4  # x of no more gives a convolution little to do
    half_product_channels: int = 64  # of x: rows of 256 bytes, which conflict in the cache
    half_product_outputs: int = 96  # channels of y, at most
    half_product_rows: int = 1 << 14  # at most, of which copies stay in the cache
    half_product_elements: int = 1 << 17  # of y, from which on copies are worth their time
    # Grouped convolutions, and those of a single channel
    grouped_convolutions: int = 16  # that one with groups is cut into: each takes time to compile
    few_positions: int = 256  # of y, for no more of which the plain call of a single channel is as fast
    single_channel_outputs: int = 8  # channels of y, at most, that are sums of what taps meet in one channel
    # Padding past x, so that YNNPACK does not take a convolution
    padded_channels: int = 16  # of x or y, more than which YNNPACK takes
    padded_multiplications: int = 300_000_000  # from which on YNNPACK is the slower one
    padded_multiplications_an_output: int = 128  # so that it matters little that y is copied; four times with XLA's own
    # im2col: products with windows laid out as rows of a matrix
    im2col_elements: int = 1 << 21  # at a time: 8 MB in float32
    im2col_tile_elements: int = 1 << 20  # of one tile of rows
    im2col_positions: int = 1 << 12  # of y, over which YNNPACK sums the gradient of a kernel slowly
    im2col_outputs: int = 32  # channels of y, from which on a product is the faster one, in programs with YNNPACK
    im2col_half_elements: int = 256  # of each tap's matrix, more than which half precision is worth it
    thin_outputs: int = 128  # channels of y, from which on it is for x of few channels, with XLA's own convolutions
    line_channels: int = 16  # of x along one spatial axis, where y has more
    # Gradients of kernels for few examples, which XLA's own code adds in one instruction
    few_examples: int = 8
    few_line_examples: int = 3  # along one spatial axis, in programs with YNNPACK
    copied_elements: int = 1 << 19  # of x, at most, that are laid out again; of y twice as many
    narrow_outputs: int = 16  # channels of y, at most, for which all of the kernel is one matrix
    narrow_channels: tuple[int, int] = (8, 32)  # of x then, least and most
    # Transposed convolutions
    subpixel_space: int = 9  # of x along each spatial axis, from which on an element more for each phase is little
    subpixel_channels: int = 64  # of x, from which on it is too much for less space
    added_outputs: int = 8  # channels of y, at most, for which windows are added in gradients
    added_channels: int = 8  # of x, from which on a product with the whole kernel is worth its memory
    added_taps: int = 32  # of a kernel along one axis, at most
    # Pooling
    compared_taps: int = 16  # a window of more has its maximum's gradient by the reference
    looped_taps: int = 4  # XLA's own loop sums a window of no more as fast backward, and where padded forward
    summed_elements: int = 1 << 20  # of a larger x, XLA's gradient of a sum is the faster one, for strides of 1

"""How much a file of Keras may hold, all in one place.

Nothing here bounds an honest file by its size: what a file declares is compared with the bytes that it stores.
"""

# JSON texts
MAX_CONFIG_BYTES = 64 << 20
FREE_CONFIG_BYTES = 2 << 20  # beyond them, at most so many times the size of the file
MAX_CONFIG_EXPANSION = 4
MAX_CONFIG_VALUES = 2_000_000  # numbers, strings, lists, objects
MAX_ITEMS = 10_000  # values in an option of a layer, or in the call of an operation
ITEMS_OF_A_LAYER = 100  # so many of them count as a layer
MAX_CONFIG_DEPTH = 100  # lists and objects inside each other

# Models
MAX_LAYERS = 5_000
FREE_LAYERS = 200  # beyond them, a layer for each so many bytes of the file: Keras writes more for one without weights
BYTES_OF_A_LAYER = 200
INPUTS_OF_A_LAYER = (
    2  # so many inputs of calls, beyond one a layer, count as one: Keras writes at least 110 bytes for each
)
MAX_MODEL_DEPTH = 30  # models and wrappers inside each other
MAX_RANK = 32  # axes of an array
MAX_NAME = 1_000  # characters
MAX_CARRY_BYTES = 64 << 20  # of state that no file stores, such as the carries of stateful recurrent layers

# Compressed data, in zip members and HDF5 chunks. Up to the first bound nothing is asked; beyond it, what comes out is
# at most so many times the size of the whole file.
FREE_EXPANSION = 32 << 20  # bytes
MAX_EXPANSION = 20

# HDF5
MAX_OBJECTS = 100_000  # groups and arrays of a file
MAX_ATTRIBUTES = 10_000  # of one object
MAX_ATTRIBUTE_BYTES = 64 << 20
MAX_CHUNKS = 65_536  # of one array

# Zip archives
MAX_DIRECTORY_BYTES = 64 << 10  # of the list of members at the end


def most_config(size: int) -> int:
    """Bytes of JSON in a file of that size, which may be compressed."""
    return min(MAX_CONFIG_BYTES, max(FREE_CONFIG_BYTES, MAX_CONFIG_EXPANSION * size))


def most_layers(size: int) -> int:
    """Layers, and inputs of their calls, that a file of that size may have: to trace one takes some milliseconds."""
    return min(MAX_LAYERS, FREE_LAYERS + size // BYTES_OF_A_LAYER)


def most_expanded(size: int) -> int:
    """Bytes that compressed data in a file of that size may expand to."""
    return max(FREE_EXPANSION, MAX_EXPANSION * size)

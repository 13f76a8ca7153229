"""When Python looks for unused cycles: not while the console starts, and never among what stays.

With 5,000 rows one full look takes 30 ms, in which no key is answered; rows hold no cycles.
"""

import gc


def pause() -> None:
    """No look until `settle`: everything that is made while the console starts stays."""
    gc.disable()


def settle() -> None:
    """What there is now stays, and is not looked at again; from here on new things are."""
    gc.freeze()
    gc.enable()

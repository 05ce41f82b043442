"""Signatures that name what ``**shared`` takes, for `get_params`, `repr` and help."""

from __future__ import annotations

import inspect

__all__ = ["name_shared"]


def name_shared(cls: type) -> None:
    """Put the parameters of a class's parent in the place of ``**shared`` in its own signature.

    scikit-learn reads the names and defaults of parameters from there. A parameter that the class
    has itself stays as it is.

    Examples
    --------
    >>> class Parent:
    ...     def __init__(self, *, size=1, seed=None): ...
    >>> class Child(Parent):
    ...     def __init__(self, *, k=20, size=2, **shared): ...
    >>> name_shared(Child)
    >>> print(inspect.signature(Child))
    (*, k=20, size=2, seed=None)
    """
    own = cls.__dict__.get("__init__")
    if own is None:
        return
    signature = inspect.signature(own)
    given = signature.parameters
    if not any(each.kind is each.VAR_KEYWORD for each in given.values()):
        return
    parent = next(each for each in cls.__mro__[1:] if "__init__" in vars(each))
    above = inspect.signature(parent).parameters
    named = [each for each in given.values() if each.kind is not each.VAR_KEYWORD]
    more = [each for name, each in above.items() if name not in given]
    own.__dict__["__signature__"] = signature.replace(parameters=named + more)

"""How much memory a forward pass leaves behind for the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["kept_bytes"]


def kept_bytes(forward: Callable[[], Tensor], besides: Iterable[Tensor]) -> int:
    """Return the bytes that are alive after a forward pass and were not before, output included.

    Parameters
    ----------
    forward : callable
        Returns the output, whose gradients can be made.
    besides : iterable of tensor
        Parameters and inputs, which do not count; nor do views of them.

    Notes
    -----
    Every storage that an operator returned is looked at again after the pass. What an operator
    needs meanwhile, and frees, does not count; nor does memory that is not a tensor's.

    Examples
    --------
    >>> import torch
    >>> W, x = torch.ones(8, 4, requires_grad=True), torch.zeros(2, 4)
    >>> kept_bytes(lambda: (x @ W.T).tanh(), [W, x]) == 2 * 8 * 4  # the product is not needed
    True
    """
    with _Storages() as mode:
        output = forward()
    known = {_reference(each) for each in besides}
    alive = [size for of, size in mode.sizes.items() if of not in known and not of.expired()]
    del output
    return sum(alive)


class _Storages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the storage of everything that an operator returns."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor):
                self.sizes[_reference(each)] = each.untyped_storage().nbytes()
        return result


def _reference(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]

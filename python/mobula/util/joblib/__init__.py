"""joblib on tasks: register_ray(), then `with joblib.parallel_backend("ray"): ...`."""

from __future__ import annotations

__all__ = ["register_ray"]


def register_ray() -> None:
    """Makes "ray" a back end of joblib's. Needs joblib 1.3 or newer."""
    try:
        from joblib.parallel import register_parallel_backend
    except ImportError as error:
        raise ImportError("mobula.util.joblib needs joblib: pip install joblib") from error
    from mobula.util.joblib.ray_backend import RayBackend

    register_parallel_backend("ray", RayBackend)

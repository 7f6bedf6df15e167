"""multiprocessing.Pool on actors."""

from multiprocessing import JoinableQueue, TimeoutError

from mobula.util.multiprocessing.pool import AsyncResult, Pool

__all__ = ["AsyncResult", "JoinableQueue", "Pool", "TimeoutError"]

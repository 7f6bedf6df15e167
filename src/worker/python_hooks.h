// The functions of the Python package that the extension calls, imported when first needed. One list, so that
// a reader of either side finds the other. GIL held.
#pragma once

#include <Python.h>

#include <initializer_list>

#include "worker/python_object.h"

namespace mobula::python {

enum class Hook {
  kAutoInit,         // (): starts the engine with defaults, or raises
  kStatusError,      // (code, message) -> exception
  kPayloadError,     // (kind, message) -> exception
  kTaskError,        // (what a kTaskError payload decodes to) -> exception
  kMakePickler,      // (write, buffer_callback) -> Pickler
  kMergeReducers,    // (): takes over what copyreg has learnt
  kExplainPickling,  // (value, where, error) -> TypeError
  kReadArrow,        // (buffer) -> pyarrow.Table
  kWriteArrow,       // (pyarrow.Table or the like) -> buffer with an Arrow IPC stream
  kMakeArray,        // (buffer, ElementType, shape) -> numpy.ndarray
  kPlainHandle,  // (handle) -> (number, session, C++?, retries, definition, class name, packed description)
  kRestorePlainActor,  // (number, session, (class name, C++?, definition, retries, packed)) -> ActorHandle
  kMissingMethod,      // (description, name) -> MethodTemplate, or raises AttributeError
  kCheckCall,          // (caller, args, kwargs): raises the TypeError of a call that does not fit
  kMakeStream,         // (task id) -> ObjectRefGenerator
  kMakeTaskId,         // (number) -> TaskID
  kAwaitRef,           // (ref) -> asyncio.Future
  kRefFuture,          // (ref) -> concurrent.futures.Future
  kRestoreActor,       // (binary id, class description) -> ActorHandle
  kMethodOptions,      // (method, options) -> what its .options() gives
  kMethodBind,         // (method, args, kwargs) -> DAG node
  kPrepareMethod,      // (method template): fills it in for the running engine
  kLoadFunction,       // (pickled definition) -> callable
  kEncodeFailure,     // (exception, name, retries errors?, kinds to retry, actor?, creates?) -> (kind, error,
                      // retriable, exit)
  kCreateActor,       // (class, args, kwargs, concurrency, groups) -> (instance, mode, lanes)
  kCallSpecial,       // (instance, method, args, kwargs): __ray_ready__ and the like
  kSplitDynamic,      // (generator) -> DynamicObjectRefGenerator
  kStartThread,       // (lane): a thread that serves a lane of an actor's calls
  kApplyEnvironment,  // (runtime_env)
  kShowGpus,          // (ids)
  kCount,
};

/// Borrowed; nullptr with a Python error set when the package is damaged.
PyObject* hook(Hook which);

/// Calls it; nullptr with a Python error set.
PyObject* call_hook(Hook which, std::initializer_list<PyObject*> arguments);

}  // namespace mobula::python

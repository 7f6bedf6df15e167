// What the C++ API throws. The names and the shape are those of Ray's C++ API, so that handlers need no
// change.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace mobula::inline v1 {

/// The root of all that Mobula throws. what() says what happened, to what, and what to do next.
class RayException : public std::exception {
 public:
  explicit RayException(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

/// What a remote function threw, as it was there.
struct TaskError {
  std::string type;       ///< the exception's type: "std::runtime_error", "ValueError"
  std::string message;    ///< its what(), or str(error) in Python
  std::string function;   ///< the function or method that was called
  std::string language;   ///< "cpp" or "python"
  std::string traceback;  ///< Python's; empty for C++
  int64_t pid = 0;        ///< the worker
};

/// A task or an actor's method threw. Raised where its result is read.
class RayTaskException : public RayException {
 public:
  explicit RayTaskException(std::string message) : RayException(std::move(message)) {}
  RayTaskException(std::string message, TaskError error)
      : RayException(std::move(message)), error_(std::move(error)) {}
  /// The exception as it was in the worker.
  const TaskError& error() const { return error_; }

 private:
  TaskError error_;
};

/// The actor is dead: killed, crashed, or never made because its constructor threw.
class RayActorException : public RayException {
 public:
  using RayException::RayException;
};

/// The actor is restarting; the call may or may not have run. Later calls may succeed.
class RayActorUnavailableException : public RayActorException {
 public:
  using RayActorException::RayActorException;
};

/// The worker process ended while it ran the task, more often than the task may be retried.
class RayWorkerException : public RayException {
 public:
  using RayException::RayException;
};

/// The object is lost and cannot be made again.
class UnreconstructableException : public RayException {
 public:
  using RayException::RayException;
};

/// No function or method of that name is registered where it was to run.
class RayFunctionNotFound : public RayException {
 public:
  using RayException::RayException;
};

/// A runtime environment could not be set up, or names what it cannot have.
class RayRuntimeEnvException : public RayException {
 public:
  using RayException::RayException;
};

/// The time given to Get has passed.
class RayTimeoutException : public RayException {
 public:
  using RayException::RayException;
};

/// The task was cancelled.
class RayTaskCancelledException : public RayException {
 public:
  using RayException::RayException;
};

/// A value is not what the reader expects, or cannot be encoded.
class RayValueException : public RayException {
 public:
  using RayException::RayException;
};

/// The arena has no room: everything in it is held, or the value is larger than the arena.
class RayObjectStoreFullException : public RayException {
 public:
  using RayException::RayException;
};

/// The machine's memory was about to run out, and the task was ended for it.
class RayOutOfMemoryException : public RayException {
 public:
  using RayException::RayException;
};

/// A spill file could not be written.
class RayOutOfDiskException : public RayException {
 public:
  using RayException::RayException;
};

/// Mobula itself is at fault, or not running.
class RaySystemException : public RayException {
 public:
  using RayException::RayException;
};

}  // namespace mobula::inline v1

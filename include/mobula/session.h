// The door from the templates of this API to the engine: the only functions of the runtime that they call.
// Programs use <mobula/api.h>.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mobula/codec.h>
#include <mobula/handle.h>
#include <mobula/options.h>
#include <mobula/registry.h>
#include <mobula/serialize.h>

namespace mobula::inline v1::internal {

/// The arguments of one call, encoded: small values in place, large ones in the arena.
struct ArgumentList {
  std::string bytes;
  std::vector<ObjectPtr> references;  // replaced by their values before the call runs
  std::vector<ObjectPtr> nested;      // inside values; kept until the call has ended
  std::vector<ActorPtr> actors;       // the same

  void add_value(const ValueWriter& value);
  void add_reference(const ObjectPtr& object);
};

/// The bytes of an object's value, kept where they are by `owner`.
struct Fetched {
  std::span<const uint8_t> envelope;
  std::shared_ptr<const void> owner;
};

ObjectPtr put(const ValueWriter& value);
ObjectPtr submit(const RemoteFunction& function, ArgumentList arguments, const TaskOptions& options);
/// The same for a function whose results come one by one.
StreamPtr submit_stream(const RemoteFunction& function, ArgumentList arguments, const TaskOptions& options);
ActorPtr create_actor(const RemoteFunction& factory, ArgumentList arguments, const ActorOptions& options);
ObjectPtr call(const ActorPtr& actor, std::string_view method, ArgumentList arguments,
               const TaskOptions& options);
StreamPtr call_stream(const ActorPtr& actor, std::string_view method, ArgumentList arguments,
                      const TaskOptions& options);
/// Null when there is no actor of that name. An empty namespace is the job's own.
ActorPtr find_actor(const std::string& name, const std::string& space);
void kill(const ActorPtr& actor, bool no_restart);
void cancel(const ObjectPtr& object, bool force);
void cancel(const StreamPtr& stream, bool force);

/// The next item, ready or not; or waited for, and null at the end. RayException for a null stream.
ObjectPtr asked_item(const StreamPtr& stream);
ObjectPtr next_item(const StreamPtr& stream, int timeout_ms);

/// The values of all, or the first failure thrown.
std::vector<Fetched> fetch(std::span<const ObjectPtr> objects, int timeout_ms);
/// For each object whether it is ready; at most `count` are.
std::vector<bool> wait(std::span<const ObjectPtr> objects, int count, int timeout_ms);

/// A value together with the bytes that it views, where it views any.
template <typename T>
std::shared_ptr<T> decode_shared(const Fetched& fetched) {
  ValueReader reader(fetched.envelope, fetched.owner);
  struct Viewing {
    T value;
    std::shared_ptr<const void> owner;
  };
  T value = reader.read<T>();
  if (!reader.borrowed()) return std::make_shared<T>(std::move(value));
  auto both = std::make_shared<Viewing>(Viewing{std::move(value), reader.owner()});
  return {both, &both->value};
}

}  // namespace mobula::inline v1::internal

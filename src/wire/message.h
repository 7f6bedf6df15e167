// Every message between a node and its clients, and the one codec for them. Upward messages carry facts and
// requests of a client (driver, worker); downward ones carry assignments and replies. The embedded engine
// passes the structs as they are; rings carry them encoded. Fuzzed by message_fuzz.cc; tests:
// message_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/id.h"
#include "base/status.h"
#include "engine/engine.h"

namespace mobula {

/// Names one question of a client, so that the answer finds its waiter. Unique for the client.
using RequestId = uint64_t;

/// Where an encoded value lies: in the message itself, or in the arena.
struct Located {
  PayloadKind kind = PayloadKind::kValue;
  bool in_arena = false;
  uint64_t offset = 0, size = 0;             // in the arena
  std::shared_ptr<const std::string> bytes;  // else
  std::vector<ObjectId> contained;

  void fields(auto& visit) { visit(kind, in_arena, offset, size, bytes, contained); }
};

/// A value given by its bytes.
Located located_bytes(PayloadKind kind, std::string bytes);

// ---- upward
// -------------------------------------------------------------------------------------------------------

struct DefineMessage {
  FunctionId function;
  Language language = Language::kPython;
  std::string definition;
  void fields(auto& visit) { visit(function, language, definition); }
};
struct SubmitMessage {
  std::vector<TaskSpec> specs;  // tasks, and calls where `actor` is set
  void fields(auto& visit) { visit(specs); }
};
struct CreateActorMessage {
  RequestId request = 0;
  ActorSpec spec;
  void fields(auto& visit) { visit(request, spec); }
};
struct DoneMessage {
  TaskId task;
  uint32_t attempt = 0;
  std::vector<Located> values;
  bool retriable = false, exit_after = false;
  std::string exit_reason;
  uint64_t run_ns = 0, begun_ns = 0;  // begun: by the clock that all processes of a machine share; 0: unknown
  void fields(auto& visit) {
    visit(task, attempt, values, retriable, exit_after, exit_reason, run_ns, begun_ns);
  }
};
struct ItemMessage {
  TaskId task;
  uint32_t attempt = 0, index = 0;
  Located value;
  void fields(auto& visit) { visit(task, attempt, index, value); }
};
struct PutMessage {
  ObjectId id;
  Located value;
  void fields(auto& visit) { visit(id, value); }
};
struct HoldMessage {  // the client's first local reference
  ObjectId id;
  void fields(auto& visit) { visit(id); }
};
struct ReleaseMessage {  // the client's last local references went
  std::vector<ObjectId> ids;
  void fields(auto& visit) { visit(ids); }
};
struct UnpinMessage {  // views of these values are gone
  std::vector<ObjectId> ids;
  void fields(auto& visit) { visit(ids); }
};
struct AllocateMessage {
  RequestId request = 0;
  uint64_t bytes = 0;
  void fields(auto& visit) { visit(request, bytes); }
};
struct AbandonMessage {
  uint64_t offset = 0;
  void fields(auto& visit) { visit(offset); }
};
enum class Interest : uint8_t { kValues, kReady };  // values: pinned and sent; ready: only a word
struct GetMessage {
  RequestId request = 0;
  Interest interest = Interest::kValues;
  std::vector<ObjectId> ids;
  void fields(auto& visit) { visit(request, interest, ids); }
};
struct WaitMessage {
  RequestId request = 0;
  uint32_t count = 0;
  bool fetch = true, poll = false;  // poll: answer at once with what is ready
  std::vector<ObjectId> ids;
  void fields(auto& visit) { visit(request, count, fetch, poll, ids); }
};
struct ForgetMessage {  // the asker's deadline has passed
  RequestId request = 0;
  void fields(auto& visit) { visit(request); }
};
struct TakeItemMessage {
  ObjectId id;
  void fields(auto& visit) { visit(id); }
};
struct DropStreamMessage {
  TaskId task;
  void fields(auto& visit) { visit(task); }
};
struct FindActorMessage {
  RequestId request = 0;
  std::string name, space;
  void fields(auto& visit) { visit(request, name, space); }
};
struct KillMessage {
  ActorId actor;
  bool no_restart = true;
  void fields(auto& visit) { visit(actor, no_restart); }
};
struct CancelMessage {
  ObjectId id;
  bool force = false, recursive = true;
  void fields(auto& visit) { visit(id, force, recursive); }
};
struct CreateGroupMessage {
  RequestId request = 0;
  GroupId group;
  GroupSpec spec;
  void fields(auto& visit) { visit(request, group, spec); }
};
struct RemoveGroupMessage {
  GroupId group;
  void fields(auto& visit) { visit(group); }
};
struct WatchGroupMessage {  // `id` becomes `value` once the group's bundles are reserved
  GroupId group;
  ObjectId id;
  std::string value;
  void fields(auto& visit) { visit(group, id, value); }
};
struct MadeAtMessage {  // where in the program a task was submitted, or a value put
  TaskId made;
  std::string site;
  void fields(auto& visit) { visit(made, site); }
};
struct QueryMessage {  // "cluster", "stats", "groups", a table of snapshot(), or "output of " a worker
  RequestId request = 0;
  std::string what;
  void fields(auto& visit) { visit(request, what); }
};

using UpMessage = std::variant<DefineMessage, SubmitMessage, CreateActorMessage, DoneMessage, ItemMessage,
                               PutMessage, HoldMessage, ReleaseMessage, UnpinMessage, AllocateMessage,
                               AbandonMessage, GetMessage, WaitMessage, ForgetMessage, TakeItemMessage,
                               DropStreamMessage, FindActorMessage, KillMessage, CancelMessage, QueryMessage,
                               CreateGroupMessage, RemoveGroupMessage, WatchGroupMessage, MadeAtMessage>;

// ---- downward
// -----------------------------------------------------------------------------------------------------

/// One task for a worker; what worker.h's Assignment is made of.
struct RunMessage {
  TaskSpec spec;  // without refs and nested: `values` replaces them
  uint32_t attempt = 0;
  std::string definition;  // set when this worker has not seen the function
  std::vector<ObjectId> value_ids;
  std::vector<Located> values;
  bool creates_actor = false, actor_restarted = false;
  std::string actor_name, space;
  int32_t max_concurrency = 1;
  std::vector<int32_t> gpu_ids;
  void fields(auto& visit) {
    visit(spec, attempt, definition, value_ids, values, creates_actor, actor_restarted, actor_name, space,
          max_concurrency, gpu_ids);
  }
};
struct ReplyMessage {
  RequestId request = 0;
  Code code = Code::kOk;
  std::string text;                 // the error's message, or the answer's text
  uint64_t number = 0;              // allocate: the offset; create/find: the actor; group: is it feasible?
  std::vector<uint32_t> positions;  // wait: the ready ones; get: whose values these are
  std::vector<Located> values;
  void fields(auto& visit) { visit(request, code, text, number, positions, values); }
};
struct CancelTaskMessage {
  TaskId task;
  void fields(auto& visit) { visit(task); }
};
struct ConsumedMessage {  // the consumer has asked for items below `index`
  TaskId task;
  uint32_t index = 0;
  bool dropped = false;
  void fields(auto& visit) { visit(task, index, dropped); }
};
struct ExitMessage {  // finish what runs, then end
  void fields(auto&) {}
};

using DownMessage = std::variant<RunMessage, ReplyMessage, CancelTaskMessage, ConsumedMessage, ExitMessage>;

std::string encode(const UpMessage& message);
std::string encode(const DownMessage& message);
/// `invalid` for anything that was not written by encode().
Result<UpMessage> decode_up(std::string_view bytes);
Result<DownMessage> decode_down(std::string_view bytes);

}  // namespace mobula

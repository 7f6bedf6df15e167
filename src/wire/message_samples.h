// One of each message with every field set: for the tests and the fuzzer of the codec alone.
#pragma once

#include <memory>
#include <vector>

#include "wire/message.h"

namespace mobula {

inline ObjectId sample_object(uint64_t number) { return {TaskId{number}, 2, 99}; }

inline Located sample_value(bool in_arena) {
  Located value = located_bytes(PayloadKind::kTaskError, in_arena ? "" : "bytes");
  value.in_arena = in_arena;
  value.offset = in_arena ? 8192 : 0;
  value.contained = {sample_object(5), sample_object(6)};
  return value;
}

inline TaskSpec sample_spec() {
  TaskSpec spec;
  spec.id = TaskId{77};
  spec.function = {1, 2};
  spec.name = "module.function";
  spec.method = "method";
  spec.language = Language::kCpp;
  spec.args = std::string("a\0b", 3);
  spec.refs = {sample_object(1), sample_object(2)};
  spec.nested = {sample_object(3)};
  spec.returns = kStreaming;
  spec.resources = {{"CPU", 10'000}, {"accelerator", 5}};
  spec.placement_resources = {{"CPU", 1}};
  spec.max_retries = -1;
  spec.retry_exceptions = true;
  spec.retry_on = "types";
  spec.backpressure_items = 3;
  spec.max_calls = 4;
  spec.runtime_env = "{}";
  spec.group = "io";
  spec.placement = Placement::kNodeAffinity;
  spec.placement_node = "abc";
  spec.placement_soft = true;
  spec.placement_group = GroupId{8};
  spec.bundle_index = 1;
  spec.captures = 1;
  spec.actor = ActorId{9};
  return spec;
}

inline ActorSpec sample_actor() {
  ActorSpec spec;
  spec.creation = sample_spec();
  spec.name = "bob";
  spec.space = "space";
  spec.class_name = "Class";
  spec.handle = "handle";
  spec.detached = spec.get_if_exists = true;
  spec.ordered = false;
  spec.max_restarts = -1;
  spec.max_task_retries = 2;
  spec.max_concurrency = 3;
  spec.max_pending_calls = 4;
  return spec;
}

inline GroupSpec sample_group() {
  GroupSpec spec;
  spec.bundles = {{{"CPU", 10'000}, {"disk", 5}}, {{"GPU", 5'000}}};
  spec.bundle_nodes = {"", "abc"};
  spec.strategy = GroupStrategy::kStrictSpread;
  spec.name = "pair";
  spec.space = "space";
  spec.detached = true;
  return spec;
}

/// In the order of the variant.
inline std::vector<UpMessage> up_samples() {
  return {DefineMessage{{3, 4}, Language::kPython, "definition"},
          SubmitMessage{{sample_spec(), TaskSpec{}}},
          CreateActorMessage{1, sample_actor()},
          DoneMessage{TaskId{1}, 2, {sample_value(true), sample_value(false)}, true, true, "reason", 5, 6},
          ItemMessage{TaskId{1}, 2, 3, sample_value(false)},
          PutMessage{sample_object(1), sample_value(true)},
          HoldMessage{sample_object(1)},
          ReleaseMessage{{sample_object(1), sample_object(2)}},
          UnpinMessage{{sample_object(1)}},
          AllocateMessage{1, 1 << 20},
          AbandonMessage{4096},
          GetMessage{1, Interest::kReady, {sample_object(1)}},
          WaitMessage{1, 2, true, true, {sample_object(1), sample_object(2)}},
          ForgetMessage{1},
          TakeItemMessage{sample_object(1)},
          DropStreamMessage{TaskId{1}},
          FindActorMessage{1, "bob", "space"},
          KillMessage{ActorId{1}, true},
          CancelMessage{sample_object(1), true, true},
          QueryMessage{1, "stats"},
          CreateGroupMessage{1, GroupId{8}, sample_group()},
          RemoveGroupMessage{GroupId{8}},
          WatchGroupMessage{GroupId{8}, sample_object(1), "value"},
          MadeAtMessage{TaskId{1}, "program.py:main:3"}};
}

/// In the order of the variant.
inline std::vector<DownMessage> down_samples() {
  RunMessage run;
  run.spec = sample_spec();
  run.attempt = 1;
  run.definition = "definition";
  run.value_ids = {sample_object(1), sample_object(2)};
  run.values = {sample_value(true), sample_value(false)};
  run.creates_actor = run.actor_restarted = true;
  run.actor_name = "bob";
  run.space = "space";
  run.max_concurrency = 3;
  run.gpu_ids = {0, 2};
  return {run, ReplyMessage{1, Code::kFull, "text", 2, {0, 3}, {sample_value(false), sample_value(true)}},
          CancelTaskMessage{TaskId{1}}, ConsumedMessage{TaskId{1}, 2, true}, ExitMessage{}};
}

}  // namespace mobula

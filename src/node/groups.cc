// Placement groups: made, waited for, removed with all that is in them; and which tasks belong to one, or ask
// for a place that cannot be.
#include <algorithm>
#include <bit>

#include "node/node_core.h"

namespace mobula {
namespace {

constexpr size_t kWatchesFew = 16;

std::string title_of(GroupId id, const GroupRecord& group) {
  return group.spec.name.empty() ? to_hex(id.value) : to_hex(id.value) + " ('" + group.spec.name + "')";
}

}  // namespace

void NodeCore::on(ClientId from, CreateGroupMessage& message) {
  ReplyMessage answer{
      .request = message.request, .code = Code::kOk, .text = {}, .number = 0, .positions = {}, .values = {}};
  const ActorRecord* creator = actors_.find(clients_.at(from).actor);
  bool ends_with_it = creator != nullptr && creator->spec.detached && !message.spec.detached;
  Status added = sched_.groups().find(message.group) == nullptr
                     ? sched_.add_group(message.group, std::move(message.spec))
                     : Status(Code::kInvalid, "placement group " + to_hex(message.group.value) + " exists");
  if (!added.is_ok()) {
    answer.code = added.code();
    answer.text = added.message();
    return reply(from, std::move(answer));
  }
  if (ends_with_it) groups_of_[clients_.at(from).actor].push_back(message.group);
  answer.number = sched_.groups().find(message.group)->feasible;
  reply(from, std::move(answer));
}

void NodeCore::on(ClientId from, WatchGroupMessage& message) {
  store_.create(message.id, 1);
  hold_for(from, message.id);
  const GroupRecord* group = sched_.groups().find(message.group);
  if (group == nullptr || group->state == GroupState::kRemoved) {
    std::string text = "placement group " + to_hex(message.group.value) + " was removed";
    return store_.seal(message.id, located_bytes(PayloadKind::kGroupRemoved, std::move(text)), effects_);
  }
  if (group->state == GroupState::kCreated)
    return store_.seal(message.id, located_bytes(PayloadKind::kValue, std::move(message.value)), effects_);
  std::vector<GroupWatch>& watches = group_watches_[message.group];
  if (watches.size() >= kWatchesFew &&
      std::has_single_bit(watches.size()))  // of those who ask again and again
    std::erase_if(watches, [&](const GroupWatch& watch) { return store_.find(watch.id) == nullptr; });
  watches.push_back({message.id, std::move(message.value)});
}

void NodeCore::on_group_placed(GroupId id) {
  auto watches = group_watches_.extract(id);
  if (watches.empty()) return;
  for (GroupWatch& watch : watches.mapped())
    store_.seal(watch.id, located_bytes(PayloadKind::kValue, std::move(watch.value)), effects_);
}

// ---- removal ----------------------------------------------------------------------------------------

void NodeCore::on(ClientId, RemoveGroupMessage& message) { remove_group(message.group); }

void NodeCore::remove_group(GroupId id) {
  const GroupRecord* group = sched_.groups().find(id);
  if (group == nullptr || group->state == GroupState::kRemoved) return;
  std::string cause = "its placement group " + title_of(id, *group) + " was removed";
  if (group->used) {
    bury_actors_of(id, cause);
    std::vector<TaskId> inside;
    for (const auto& [task, record] : tasks_.all()) {
      if (record.spec.placement_group == id && record.spec.actor.is_nil()) inside.push_back(task);
    }
    std::sort(inside.begin(), inside.end());
    for (TaskId task : inside) {
      const TaskRecord* record = tasks_.find(task);
      if (record != nullptr) fail(task, PayloadKind::kGroupRemoved, record->spec.name + ": " + cause);
    }
  }
  for (WorkerId worker : sched_.remove_group(id)) {
    worker_log_.at(worker).intended = true;
    out_->kills.push_back({worker, cause});
  }
  for (auto& [creator, owned] : groups_of_) std::erase(owned, id);
  auto watches = group_watches_.extract(id);
  if (watches.empty()) return;
  for (GroupWatch& watch : watches.mapped()) {
    std::string text = "placement group " + to_hex(id.value) + " was removed before it had its resources";
    store_.seal(watch.id, located_bytes(PayloadKind::kGroupRemoved, std::move(text)), effects_);
  }
}

void NodeCore::bury_actors_of(GroupId id, const std::string& cause) {
  std::vector<ActorId> inside;
  for (const auto& [actor, record] : actors_.all()) {
    bool lives = record.state != ActorRecord::State::kDead;
    if (lives && record.spec.creation.placement_group == id) inside.push_back(actor);
  }
  std::sort(inside.begin(), inside.end());
  for (ActorId actor : inside) {
    bool was_made = actors_.find(actor)->state == ActorRecord::State::kAlive;
    bury(actor, cause, was_made ? PayloadKind::kActorDied : PayloadKind::kActorGroupRemoved);
  }
}

/// Groups that a detached actor has made end with it, unless they are detached too.
void NodeCore::remove_groups_of(ActorId creator) {
  auto owned = groups_of_.extract(creator);
  if (owned.empty()) return;
  for (GroupId group : owned.mapped()) remove_group(group);
}

// ---- where a task may be ----------------------------------------------------------------------------

/// Children of a task or actor that captures them are in its group, unless they say where they want to be.
void NodeCore::join_group(ClientId from, TaskId parent, TaskSpec& spec) const {
  if (spec.placement != Placement::kGroup) spec.placement_group = {}, spec.bundle_index = -1;
  const TaskSpec* around = nullptr;
  auto actor = actors_.all().find(clients_.at(from).actor);
  auto task = tasks_.all().find(parent);
  if (actor != actors_.all().end())
    around = &actor->second.spec.creation;
  else if (task != tasks_.all().end())
    around = &task->second.spec;
  bool captured = around != nullptr && around->captures == 1 && !around->placement_group.is_nil();
  if (spec.captures < 0) spec.captures = captured;
  if (!captured || spec.placement != Placement::kDefault) return;
  spec.placement = Placement::kGroup;
  spec.placement_group = around->placement_group;
}

ClassKey NodeCore::class_key(const TaskSpec& spec, ResourceMap need, bool dedicated) const {
  return {std::move(need), spec.runtime_env, dedicated, spec.placement_group, spec.bundle_index};
}

/// A place that there is not, or will never be.
bool NodeCore::fail_if_misplaced(TaskRecord& task, const ResourceMap& need) {
  const TaskSpec& spec = task.spec;
  auto refuse = [&](PayloadKind kind, const std::string& text) {
    fail(task.spec.id, kind, std::string(task.spec.name) + text);
    return true;
  };
  bool bound = spec.placement == Placement::kNodeAffinity && !spec.placement_soft;
  if (bound && spec.placement_node != options_.node_id) {
    return refuse(PayloadKind::kUnschedulable,
                  " may run on node " + spec.placement_node +
                      " alone, and there is no such node; take the id of one that "
                      "nodes() lists, or soft=True");
  }
  if (spec.placement != Placement::kGroup) return false;
  const GroupRecord* group = sched_.groups().find(spec.placement_group);
  if (group == nullptr || group->state == GroupState::kRemoved) {
    return refuse(PayloadKind::kGroupRemoved,
                  ": its placement group " + to_hex(spec.placement_group.value) + " was removed");
  }
  std::string title = title_of(spec.placement_group, *group);
  if (spec.bundle_index < -1 || spec.bundle_index >= static_cast<int64_t>(group->spec.bundles.size())) {
    return refuse(PayloadKind::kUnschedulable, ": placement group " + title + " has no bundle " +
                                                   std::to_string(spec.bundle_index) +
                                                   "; its bundles are numbered from 0 to " +
                                                   std::to_string(group->spec.bundles.size() - 1));
  }
  if (sched_.groups().fits(spec.placement_group, spec.bundle_index, need)) return false;
  return refuse(PayloadKind::kUnschedulable, " needs more than a bundle of placement group " + title +
                                                 " has; ask for less, or make larger bundles");
}

}  // namespace mobula

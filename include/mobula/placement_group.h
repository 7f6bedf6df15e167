// Resources that are reserved together, all or none, for tasks and actors to run in.
//
//   auto group = mobula::CreatePlacementGroup({.bundles = {{{"CPU", 1}}, {{"CPU", 2}}}});
//   group.WaitReady();
//   auto sum = mobula::Task(Plus).SetPlacementGroup(group, 0).Remote(1, 2);
//   mobula::RemovePlacementGroup(group);
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mobula::inline v1 {

/// How bundles lie on the nodes: on as few as possible, on as many as possible, all on one, each on another.
enum class PlacementStrategy { PACK = 0, SPREAD = 1, STRICT_PACK = 2, STRICT_SPREAD = 3, UNRECOGNIZED = -1 };

enum class PlacementGroupState { PENDING = 0, CREATED = 1, REMOVED = 2, RESCHEDULING = 3, UNRECOGNIZED = -1 };

struct PlacementGroupCreationOptions {
  /// For GetPlacementGroup; unique in the namespace. Empty: none.
  std::string name = {};
  /// Amounts by the names of resources, for each bundle; above 0.
  std::vector<std::unordered_map<std::string, double>> bundles = {};
  PlacementStrategy strategy = PlacementStrategy::PACK;
  /// It outlives the detached actor that makes it.
  bool detached = false;
};

/// A placement group; a cheap value. The group lives until it is removed, whatever becomes of its handles.
class PlacementGroup {
 public:
  PlacementGroup() = default;
  PlacementGroup(uint64_t id, PlacementGroupCreationOptions options, PlacementGroupState state)
      : id_(id), options_(std::move(options)), state_(state) {}

  /// Waits until all bundles are reserved; false when `timeout_ms` pass first (-1: no limit). RayException
  /// when the group is removed.
  bool WaitReady(int timeout_ms = -1) const;
  /// The same in seconds, as Ray has it.
  bool Wait(int timeout_seconds) const;

  bool Empty() const { return id_ == 0; }
  uint64_t id() const { return id_; }
  /// The id as 16 hex digits.
  std::string GetID() const;
  const std::string& GetName() const { return options_.name; }
  const std::vector<std::unordered_map<std::string, double>>& GetBundles() const { return options_.bundles; }
  PlacementStrategy GetStrategy() const { return options_.strategy; }
  /// As it was when the handle was made.
  PlacementGroupState GetState() const { return state_; }

 private:
  uint64_t id_ = 0;
  PlacementGroupCreationOptions options_;
  PlacementGroupState state_ = PlacementGroupState::UNRECOGNIZED;
};

/// Asks for a group and returns at once; it is reserved when there is room for all its bundles.
/// RayValueException for bundles that make no sense and for a name that is taken.
PlacementGroup CreatePlacementGroup(const PlacementGroupCreationOptions& options);

/// Frees the bundles; tasks in the group fail, actors die. Nothing when it is gone already.
void RemovePlacementGroup(const PlacementGroup& group);
/// The same by GetID().
void RemovePlacementGroup(const std::string& placement_group_id);

/// The living group of a name in this job's namespace, or the group of an id; an empty one when there is
/// none.
PlacementGroup GetPlacementGroup(const std::string& name);
PlacementGroup GetPlacementGroupById(const std::string& id);
/// All groups, the latest of the removed ones included.
std::vector<PlacementGroup> GetAllPlacementGroups();

}  // namespace mobula::inline v1

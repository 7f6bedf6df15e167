// Placement groups of the C++ API.
#include <mobula/api.h>
#include <mobula/placement_group.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "api/session.h"
#include "wire/envelope.h"

namespace mobula::inline v1 {
namespace {

using internal::require_session;
using internal::unwrap;

GroupSpec spec_of(const PlacementGroupCreationOptions& options) {
  GroupSpec spec;
  for (const auto& bundle : options.bundles) {
    ResourceMap& amounts = spec.bundles.emplace_back();
    for (const auto& [name, amount] : bundle) {
      if (name.empty() || !std::isfinite(amount)) {
        throw RayValueException("bundle " + std::to_string(spec.bundles.size() - 1) + ": resource '" + name +
                                "' = " + std::to_string(amount) + "; amounts have a name and are above 0");
      }
      amounts[name] = std::llround(amount * static_cast<double>(kResourceUnit));
    }
  }
  constexpr std::array kStrategies{GroupStrategy::kPack, GroupStrategy::kSpread, GroupStrategy::kStrictPack,
                                   GroupStrategy::kStrictSpread};
  auto strategy = static_cast<size_t>(options.strategy);
  if (strategy >= kStrategies.size())
    throw RayValueException("a placement group's strategy is PACK, SPREAD, STRICT_PACK or STRICT_SPREAD");
  spec.strategy = kStrategies[strategy];
  spec.name = options.name;
  spec.space = GetNamespace();
  spec.detached = options.detached;
  return spec;
}

PlacementGroup handle_of(const GroupView& view) {
  PlacementGroupCreationOptions options;
  options.name = view.spec.name;
  options.strategy = static_cast<PlacementStrategy>(view.spec.strategy);
  options.detached = view.spec.detached;
  for (const ResourceMap& amounts : view.spec.bundles) {
    auto& bundle = options.bundles.emplace_back();
    for (const auto& [name, units] : amounts)
      bundle[name] = static_cast<double>(units) / static_cast<double>(kResourceUnit);
  }
  return {view.id.value, std::move(options), static_cast<PlacementGroupState>(view.state)};
}

std::vector<GroupView> views() { return unwrap(require_session()->engine().groups(), "placement groups"); }

std::optional<uint64_t> number_of(const std::string& id) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number, 16);
  bool whole = error == std::errc() && end == id.data() + id.size();
  return whole ? std::optional(number) : std::nullopt;
}

}  // namespace

bool PlacementGroup::WaitReady(int timeout_ms) const {
  auto session = require_session();
  ObjectId id =
      unwrap(session->engine().watch_group(GroupId{id_}, small_envelope(Tag::kNone, {})), "WaitReady");
  internal::ObjectPtr watched = session->adopt(id);
  Deadline deadline =
      timeout_ms < 0 ? Deadline::never() : Deadline::after(std::chrono::milliseconds(timeout_ms));
  auto found = session->engine().get({&id, 1}, deadline);
  if (!found.is_ok() && found.status().code() == Code::kTimeout) return false;
  std::vector<Payload> payloads = unwrap(std::move(found), "WaitReady");
  if (payloads.front().kind != PayloadKind::kValue) internal::throw_payload(payloads.front());
  return true;
}

bool PlacementGroup::Wait(int timeout_seconds) const {
  constexpr int kSecondsMax = 2'000'000;  // in milli-seconds it is an int still
  return WaitReady(timeout_seconds < 0 ? -1 : std::min(timeout_seconds, kSecondsMax) * 1000);
}

std::string PlacementGroup::GetID() const { return Empty() ? std::string() : to_hex(id_); }

PlacementGroup CreatePlacementGroup(const PlacementGroupCreationOptions& options) {
  GroupSpec spec = spec_of(options);
  const CreatedGroup made =
      unwrap(require_session()->engine().create_group(std::move(spec)), "CreatePlacementGroup");
  return {made.id.value, options, PlacementGroupState::PENDING};
}

void RemovePlacementGroup(const PlacementGroup& group) {
  Status removed = require_session()->engine().remove_group(GroupId{group.id()});
  if (!removed.is_ok()) internal::throw_status(removed, "RemovePlacementGroup");
}

void RemovePlacementGroup(const std::string& placement_group_id) {
  auto number = number_of(placement_group_id);
  if (!number)
    throw RayValueException("'" + placement_group_id +
                            "' is no placement group's id: those have 16 hex digits");
  RemovePlacementGroup(PlacementGroup(*number, {}, PlacementGroupState::UNRECOGNIZED));
}

PlacementGroup GetPlacementGroup(const std::string& name) {
  for (const GroupView& view : views()) {
    bool named = !name.empty() && view.spec.name == name && view.spec.space == GetNamespace();
    if (named && view.state != GroupState::kRemoved) return handle_of(view);
  }
  return {};
}

PlacementGroup GetPlacementGroupById(const std::string& id) {
  auto number = number_of(id);
  for (const GroupView& view : views()) {
    if (number == view.id.value) return handle_of(view);
  }
  return {};
}

std::vector<PlacementGroup> GetAllPlacementGroups() {
  std::vector<PlacementGroup> groups;
  for (const GroupView& view : views()) groups.push_back(handle_of(view));
  return groups;
}

}  // namespace mobula::inline v1

// Checks of plans. A plan is a tree: each operator but the last feeds exactly one other.
#include "data/plan/plan.h"

namespace mobula::data {
namespace {

Status bad(OpIndex op, const Operator& node, const std::string& what) {
  return {Code::kInvalid, "operator " + std::to_string(op) + " (" + node.name + ") of the plan " + what};
}

Status check_pool(OpIndex op, const Operator& node) {
  const ActorPool& pool = *node.pool;
  bool ordered = pool.actors_min >= 1 && pool.actors_initial >= pool.actors_min;
  bool bounded = pool.actors_max == -1 || pool.actors_max >= pool.actors_initial;
  if (!ordered || !bounded) return bad(op, node, "has a pool whose sizes are not in order");
  if (pool.calls_per_actor_max < 1) return bad(op, node, "allows no call to its actors");
  return Status::ok();
}

Status check_operator(OpIndex op, const Operator& node) {
  size_t inputs = node.upstream.size();
  if (node.kind == OpKind::kInput && inputs != 0) return bad(op, node, "is an input and has inputs");
  if (node.kind == OpKind::kUnion && inputs == 0) return bad(op, node, "unites nothing");
  bool single = node.kind == OpKind::kMap || node.kind == OpKind::kLimit;
  if (single && inputs != 1) return bad(op, node, "needs exactly one input");
  for (OpIndex from : node.upstream) {
    if (from >= op) return bad(op, node, "is fed by one that comes after it");
  }
  if (node.rows_limit < 0) return bad(op, node, "has a limit below zero");
  for (const auto& [name, amount] : node.resources) {
    if (amount < 0) return bad(op, node, "asks for less than nothing of " + name);
  }
  return node.pool ? check_pool(op, node) : Status::ok();
}

}  // namespace

Status Plan::check() const {
  if (operators.empty()) return {Code::kInvalid, "the plan has no operators"};
  std::vector<int> fed(operators.size(), 0);
  for (OpIndex op = 0; op < operators.size(); ++op) {
    TRY(check_operator(op, operators[op]));
    for (OpIndex from : operators[op].upstream) ++fed[from];
  }
  for (OpIndex op = 0; op + 1 < operators.size(); ++op) {
    if (fed[op] != 1) return bad(op, operators[op], "must feed exactly one other");
  }
  return Status::ok();
}

OpIndex Plan::downstream_of(OpIndex op) const {
  for (OpIndex to = op + 1; to < operators.size(); ++to) {
    for (OpIndex from : operators[to].upstream) {
      if (from == op) return to;
    }
  }
  return static_cast<OpIndex>(operators.size());
}

}  // namespace mobula::data

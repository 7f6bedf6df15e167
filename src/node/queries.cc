// Read-only views of a node: the cluster, statistics, and, by their names, the tables of snapshots.cc.
#include <charconv>

#include "node/node_core.h"
#include "wire/views.h"

namespace mobula {
namespace {

constexpr std::string_view kOutputOf = "output of ";  // and a worker's id

}  // namespace

EngineStats NodeCore::stats() const {
  EngineStats stats;
  stats.arena_bytes = store_.arena().bytes();
  stats.arena_used_bytes = store_.arena().used_bytes();
  stats.arena_peak_bytes = store_.arena().peak_bytes();
  stats.spilled_bytes = store_.spilled_bytes();
  stats.restored_bytes = store_.restored_bytes();
  stats.objects = store_.size();
  stats.objects_pinned = store_.pinned_objects();
  stats.tasks = tasks_.size();
  stats.actors = actors_.living();
  stats.workers = sched_.workers().size();
  stats.workers_started = sched_.workers_started();
  return stats;
}

void NodeCore::on(ClientId, MadeAtMessage& message) { sites_.add(message.made, std::move(message.site)); }

void NodeCore::on(ClientId from, QueryMessage& message) {
  ReplyMessage answer{
      .request = message.request, .code = Code::kOk, .text = {}, .number = 0, .positions = {}, .values = {}};
  if (message.what == "cluster") {
    NodeView node{options_.node_id, true, sched_.ledger().total(), sched_.ledger().available(),
                  options_.labels};
    sched_.groups().list_resources(node.total, node.available);
    answer.text = encode_cluster({{std::move(node)}, 1});
  } else if (message.what == "groups") {
    answer.text = encode_groups(sched_.groups().views());
  } else if (message.what == "stats") {
    answer.text = encode_stats(stats());
  } else if (message.what.starts_with(kOutputOf)) {
    std::string_view digits = std::string_view(message.what).substr(kOutputOf.size());
    WorkerId worker;
    std::from_chars(digits.data(), digits.data() + digits.size(), worker.value, 16);
    out_->output_asked.push_back({from, message.request, worker});
    return;
  } else {
    answer.text = snapshot(message.what);
    if (answer.text.empty()) {
      answer.code = Code::kInvalid;
      answer.text = "no table is called '" + message.what +
                    "'; there are actors, named_actors, tasks, past_tasks, objects, workers, totals";
    }
  }
  reply(from, std::move(answer));
}

}  // namespace mobula

// Options to a node, and the Link that calls it in place.
#include "engine/embedded/embedded.h"

#include <unistd.h>

#include <algorithm>
#include <random>

#include "engine/client.h"
#include "node/node.h"
#include "sys/environment.h"
#include "sys/shm.h"

namespace mobula {
namespace {

constexpr uint64_t kArenaBytesMin = 4 << 20, kArenaBytesDefaultMin = 75 << 20;
constexpr uint64_t kArenaBytesDefaultMax = uint64_t{200} * 1000 * 1000 * 1000;

class EmbeddedLink : public Link {
 public:
  explicit EmbeddedLink(std::unique_ptr<Node> node) : node_(std::move(node)) {}
  void send(UpMessage message, bool) override { node_->send(std::move(message)); }
  Result<ReplyMessage> ask(UpMessage message, RequestId request, Deadline deadline) override {
    return node_->ask(std::move(message), request, deadline);
  }
  void ask_async(UpMessage message, RequestId request, std::function<void(ReplyMessage)> callback) override {
    node_->ask_async(std::move(message), request, std::move(callback));
  }
  uint8_t* arena_writable() const override { return node_->arena_writable(); }
  const uint8_t* arena_readable() const override { return node_->arena_readable(); }
  Node& node() { return *node_; }

 private:
  std::unique_ptr<Node> node_;
};

class EmbeddedClient : public EmbeddedEngine {
 public:
  EmbeddedClient(std::shared_ptr<EmbeddedLink> link, uint32_t session)
      : link_(link), client_(link, kDriver, session) {}
  ~EmbeddedClient() override { stop(); }

  Status define_function(FunctionId id, Language language, std::string_view definition) override {
    return client_.define_function(id, language, definition);
  }
  Result<std::vector<TaskId>> submit(std::vector<TaskSpec> specs) override {
    return client_.submit(std::move(specs));
  }
  Result<FoundActor> create_actor(ActorSpec spec) override { return client_.create_actor(std::move(spec)); }
  Result<std::vector<TaskId>> call(std::vector<TaskSpec> calls) override {
    return client_.call(std::move(calls));
  }
  Result<FoundActor> find_actor(std::string_view name, std::string_view space) override {
    return client_.find_actor(name, space);
  }
  Status kill(ActorId actor, bool no_restart) override { return client_.kill(actor, no_restart); }
  Status cancel(ObjectId id, CancelOptions options) override { return client_.cancel(id, options); }
  Result<ArenaBuffer> allocate(size_t bytes, Deadline deadline) override {
    return client_.allocate(bytes, deadline);
  }
  Result<CreatedGroup> create_group(GroupSpec spec) override { return client_.create_group(std::move(spec)); }
  Status remove_group(GroupId group) override { return client_.remove_group(group); }
  Result<ObjectId> watch_group(GroupId group, std::string value) override {
    return client_.watch_group(group, std::move(value));
  }
  Result<std::vector<GroupView>> groups() override { return client_.groups(); }
  Result<ObjectId> put(Value value) override { return client_.put(std::move(value)); }
  Result<std::vector<Payload>> get(std::span<const ObjectId> ids, Deadline deadline) override {
    return client_.get(ids, deadline);
  }
  Result<std::vector<size_t>> wait(std::span<const ObjectId> ids, size_t count, Deadline deadline,
                                   bool fetch) override {
    return client_.wait(ids, count, deadline, fetch);
  }
  void on_ready(std::span<const ObjectId> ids, ReadyCallback callback) override {
    client_.on_ready(ids, std::move(callback));
  }
  Result<ObjectId> stream_item(TaskId stream, uint32_t index) override {
    return client_.stream_item(stream, index);
  }
  void drop_stream(TaskId stream) override { client_.drop_stream(stream); }
  void add_reference(ObjectId id) override { client_.add_reference(id); }
  void release(ObjectId id) override { client_.release(id); }
  void add_actor_reference(ActorId id) override { client_.add_actor_reference(id); }
  void release_actor(ActorId id) override { client_.release_actor(id); }
  ClusterView cluster() override { return client_.cluster(); }
  EngineStats stats() override { return client_.stats(); }
  Result<std::string> snapshot(std::string_view table) override { return client_.snapshot(table); }
  void note_site(TaskId made, std::string site) override { client_.note_site(made, std::move(site)); }
  ClientId client_id() const override { return client_.client_id(); }
  uint32_t session() const override { return client_.session(); }

  void preload(std::string_view module) override { link_->node().preload(module); }
  const std::string& node_id() const override { return link_->node().options().node_id; }
  const std::string& job_id() const override { return link_->node().options().job_id; }
  std::span<uint8_t> metric_memory() const override { return link_->node().metric_memory(); }
  void stop() override { link_->node().stop(); }

 private:
  std::shared_ptr<EmbeddedLink> link_;
  Client client_;
};

std::string random_hex(std::random_device& random, size_t digits) {
  std::string text;
  while (text.size() < digits) text += to_hex(uint64_t{random()} << 32 | random());
  return text.substr(0, digits);
}

Status check(const EmbeddedOptions& options, uint64_t arena_bytes) {
  uint64_t memory = usable_memory_bytes();
  if (arena_bytes < kArenaBytesMin) {
    return {Code::kInvalid, "object_store_memory=" + std::to_string(arena_bytes) +
                                " is too little; give at least " + std::to_string(kArenaBytesMin) +
                                " bytes (4 MiB)"};
  }
  if (arena_bytes > memory) {
    return {Code::kInvalid, "object_store_memory=" + std::to_string(arena_bytes) + " is more than the " +
                                std::to_string(memory) +
                                " bytes of memory that this process may use; give less"};
  }
  for (const auto& [name, amount] : options.resources) {
    if (amount < 0) return {Code::kInvalid, "resource '" + name + "' is negative"};
  }
  return Status::ok();
}

}  // namespace

Result<std::unique_ptr<EmbeddedEngine>> open_embedded(EmbeddedOptions options) {
  uint64_t arena_bytes = options.arena_bytes;
  if (arena_bytes == 0) {
    arena_bytes = std::clamp(usable_memory_bytes() * 3 / 10, kArenaBytesDefaultMin, kArenaBytesDefaultMax);
  }
  arena_bytes &= ~uint64_t{4095};
  TRY(check(options, arena_bytes));
  std::random_device random;
  NodeOptions node;
  node.resources = std::move(options.resources);
  auto cpus = usable_cpus();
  node.resources.try_emplace("CPU", cpus * kResourceUnit);
  auto units = [](uint64_t bytes) { return static_cast<int64_t>(bytes) * kResourceUnit; };
  node.resources["object_store_memory"] = units(arena_bytes);
  node.resources.try_emplace("memory",
                             units(usable_memory_bytes() - std::min(arena_bytes, usable_memory_bytes())));
  node.resources.try_emplace("node:127.0.0.1", kResourceUnit);
  node.resources.try_emplace("node:__internal_head__", kResourceUnit);
  node.arena_bytes = arena_bytes;
  node.labels = std::move(options.labels);
  node.zygote_command = std::move(options.zygote_command);
  node.zygote_environment = std::move(options.zygote_environment);
  node.job_config = std::move(options.job_config);
  node.spill_folder = options.spill_folder.empty() ? temporary_folder() : std::move(options.spill_folder);
  node.log_to_driver = options.log_to_driver;
  auto whole_cpus = static_cast<size_t>(node.resources["CPU"] / kResourceUnit);
  node.workers_max = options.workers_max > 0 ? static_cast<size_t>(options.workers_max)
                                             : std::min<size_t>(64 + 16 * whole_cpus, kSlotsMax - 16);
  node.idle_workers_max = std::max<size_t>(whole_cpus, 1);
  node.node_id = random_hex(random, 56);
  node.job_id = "01000000";
  do {
    node.session = random();
  } while (node.session == 0);
  uint32_t session = node.session;
  ASSIGN_OR_RETURN(std::unique_ptr<Node> opened, Node::open(std::move(node)));
  auto link = std::make_shared<EmbeddedLink>(std::move(opened));
  return std::unique_ptr<EmbeddedEngine>(std::make_unique<EmbeddedClient>(std::move(link), session));
}

}  // namespace mobula

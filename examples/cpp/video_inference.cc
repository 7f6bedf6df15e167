// A folder of clips in, faces in Parquet out: decoding tasks -> an actor that holds the face detector -> the
// driver, which writes. Frames pass through shared memory; a clip is never held whole.
//   video_inference FOLDER OUTPUT --model face_detection_short_range.tflite [--skip-broken]
//       [--sheet FILE.png] [--json FILE] [--stage decode|infer|all] [--threads N]
// OUTPUT/detections.parquet: path, frame, score, face, box (x, y, width, height in shares of the 128x128
// frame). --stage measures decoding or inference alone.
#include <mobula/api.h>
#include <mobula/draw.h>
#include <mobula/media.h>
#include <mobula/model.h>

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/writer.h>

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace files = std::filesystem;
using mobula::ObjectRef;
using Clock = std::chrono::steady_clock;

constexpr size_t kBatchFrames = 32;      // 1.5 MB of pixels
constexpr int kBatchesAhead = 2;         // of each clip that is being decoded
constexpr size_t kBatchesInFlight = 16;  // at the detector: enough to decode on while the model is loaded
constexpr float kFaceScore = 0.5F;
constexpr int64_t kTilesOfAClip = 6;
constexpr size_t kTilesMax = 48;
constexpr int kPngLevel = 2;  // a quarter of the time of 6, a tenth larger

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

// -- what runs in workers -------------------------------------------------------------------------------

/// Some frames of one clip.
struct Batch {
  size_t clip = 0;
  mobula::Frames frames;  // letterboxed, n x 128 x 128 x 3
  double decode_s = 0;
  MOBULA_SERIALIZE(clip, frames, decode_s);
};

/// Decodes one clip; each batch is on its way to the detector while the next one is being decoded.
mobula::Generator<Batch> DecodeClip(std::string path, size_t clip, int threads) {
  mobula::VideoReader reader(path, {.width = mobula::FaceDetector::kSide,
                                    .height = mobula::FaceDetector::kSide,
                                    .fit = mobula::Fit::kLetterbox,
                                    .filter = mobula::Filter::kNearest,
                                    .threads = threads});
  while (true) {
    const auto start = Clock::now();
    Batch batch{clip, reader.read(kBatchFrames), 0};
    if (batch.frames.size() == 0) break;
    batch.decode_s = seconds_since(start);
    co_yield batch;
  }
}

/// The best face of each frame of a batch.
struct Faces {
  std::vector<mobula::Face> faces;
  double infer_s = 0;
  MOBULA_SERIALIZE(faces, infer_s);
};

/// Holds the model.
class Detector {
 public:
  static std::unique_ptr<Detector> Open(const std::string& model, int threads) {
    return std::make_unique<Detector>(model, threads);
  }
  Detector(const std::string& model, int threads) : detector_(model, {.threads = threads}) {
    open_s_ = seconds_since(start_);
  }

  Faces Find(const Batch& batch) {
    const auto start = Clock::now();
    std::vector<mobula::Face> faces = detector_.best(batch.frames.pixels);
    return {std::move(faces), seconds_since(start)};
  }
  double OpenSeconds() const { return open_s_; }

 private:
  Clock::time_point start_ = Clock::now();
  mobula::FaceDetector detector_;
  double open_s_ = 0;
};

MOBULA_REMOTE(DecodeClip, Detector::Open, &Detector::Find, &Detector::OpenSeconds);

namespace {

struct Arguments {
  std::string folder, output, model, sheet, json;
  std::string stage = "all";
  bool skips_broken = false;
  int threads = 0;
};

struct Figures {
  size_t clips = 0;
  size_t skipped = 0;
  int64_t frames = 0;
  int64_t detections = 0;
  double wall_s = 0;
  double open_s = 0;    // until the model was ready
  double decode_s = 0;  // sums over the processes of a stage
  double infer_s = 0;
  double write_s = 0;
  double cpu_s = 0;        // of all processes
  double peak_rss_mb = 0;  // of the largest process, with the shared memory that it touched
  double frames_per_s() const { return wall_s > 0 ? static_cast<double>(frames) / wall_s : 0; }
};

// -- stage: find the clips ------------------------------------------------------------------------------

/// The folder's clips, the largest first: they take longest, so they must not come last.
std::vector<std::string> find_clips(const std::string& folder) {
  std::error_code error;
  std::vector<std::pair<uintmax_t, std::string>> found;
  for (const auto& entry : files::directory_iterator(folder, error)) {
    const std::string extension = entry.path().extension().string();
    const bool is_clip = extension == ".mp4" || extension == ".mkv" || extension == ".mov" ||
                         extension == ".webm" || extension == ".avi";
    if (is_clip && entry.is_regular_file()) found.emplace_back(entry.file_size(), entry.path().string());
  }
  if (error) throw std::runtime_error("folder '" + folder + "': " + error.message());
  if (found.empty()) throw std::runtime_error("no clips (.mp4 .mkv .mov .webm .avi) in '" + folder + "'");
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  std::vector<std::string> clips;
  for (auto& [size, path] : found) clips.push_back(std::move(path));
  return clips;
}

// -- stage: decode --------------------------------------------------------------------------------------

/// A batch as the driver passes it on: the reference goes to the detector, the view stays here.
struct Decoded {
  ObjectRef<Batch> ref;
  std::shared_ptr<const Batch> batch;
};

/// Reads all clips, as many at a time as there are CPUs. What is not read holds the tasks back.
class DecodeStage {
 public:
  DecodeStage(const std::vector<std::string>& clips, const Arguments& arguments, Figures& figures)
      : clips_(clips), arguments_(arguments), figures_(figures) {}

  /// A batch that is there, or the next one that comes; nothing after the last one.
  std::optional<Decoded> next() {
    for (start_clips(); !running_.empty(); start_clips()) {
      auto stream = mobula::Wait(running_, 1, -1).ready.front();
      running_.erase(std::find(running_.begin(), running_.end(), stream));
      const std::optional<ObjectRef<Batch>> ref = stream.Next();
      if (!ref) continue;          // the clip is at its end
      running_.push_back(stream);  // behind the others: each gets its turn
      if (std::shared_ptr<const Batch> batch = read(*ref)) {
        figures_.decode_s += batch->decode_s;
        return Decoded{*ref, std::move(batch)};
      }
    }
    return std::nullopt;
  }

 private:
  void start_clips() {
    const auto threads = static_cast<size_t>(arguments_.threads);
    for (; next_ < clips_.size() && running_.size() < threads; ++next_) {
      // The last clips share the cores that no other clip takes.
      const int each = clips_.size() - next_ >= threads ? 1 : 2;
      running_.push_back(mobula::Task(DecodeClip)
                             .SetGeneratorBackpressure(kBatchesAhead)
                             .Remote(clips_[next_], next_, each));
    }
  }

  /// The batch where it lies; null for the error that ends a broken clip, where those are skipped.
  std::shared_ptr<const Batch> read(const ObjectRef<Batch>& ref) {
    try {
      return ref.Get();
    } catch (const mobula::RayTaskException& error) {
      if (!arguments_.skips_broken) throw;
      std::fprintf(stderr, "video_inference: skipped: %s\n", error.error().message.c_str());
    } catch (const mobula::RayWorkerException& error) {
      if (!arguments_.skips_broken) throw;
      std::fprintf(stderr, "video_inference: skipped: %s\n", error.what());
    }
    ++figures_.skipped;
    return nullptr;
  }

  const std::vector<std::string>& clips_;
  const Arguments& arguments_;
  Figures& figures_;
  size_t next_ = 0;
  std::vector<mobula::ObjectRefGenerator<Batch>> running_;
};

// -- stage: detect --------------------------------------------------------------------------------------

/// The actor, and the batches that are with it: so many that it is never without work, and no more. If its
/// process dies, it is started anew and does them again.
class DetectStage {
 public:
  using Take = std::function<void(const Batch&, const std::vector<mobula::Face>&)>;

  DetectStage(const Arguments& arguments, Figures& figures, Take take)
      : figures_(figures),
        take_(std::move(take)),
        detector_(mobula::Actor(Detector::Open)
                      .SetResource("CPU", 0)  // decoding begins while the model is loaded
                      .SetMaxRestarts(2)
                      .SetMaxTaskRetries(2)
                      .Remote(arguments.model, arguments.threads)),
        opened_(detector_.Task(&Detector::OpenSeconds).Remote()) {}

  /// Waits until the model can be used; what is wrong with it is thrown here, or by what follows.
  void open() { figures_.open_s = *opened_.Get(); }
  void add(Decoded decoded) {
    if (in_flight_.size() == kBatchesInFlight) take_oldest();
    auto faces = detector_.Task(&Detector::Find).Remote(decoded.ref);
    in_flight_.push_back({std::move(decoded), std::move(faces)});
  }
  void finish() {
    while (!in_flight_.empty()) take_oldest();
    open();
  }

 private:
  struct Call {
    Decoded decoded;
    ObjectRef<Faces> faces;
  };

  void take_oldest() {
    const Call call = std::move(in_flight_.front());
    in_flight_.pop_front();
    const std::shared_ptr<Faces> found = call.faces.Get();
    figures_.infer_s += found->infer_s;
    take_(*call.decoded.batch, found->faces);
  }

  Figures& figures_;
  Take take_;
  mobula::ActorHandle<Detector> detector_;
  ObjectRef<double> opened_;
  std::deque<Call> in_flight_;
};

// -- stage: contact sheet -------------------------------------------------------------------------------

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("'" + path + "' cannot be written");
}

/// Keeps a few frames of each clip, and draws them when all is done.
class Sheet {
 public:
  void add(const Batch& batch, const std::vector<mobula::Face>& faces, const std::string& name) {
    constexpr int64_t kSide = mobula::FaceDetector::kSide;
    for (size_t i = 0; i < faces.size() && pictures_.size() < kTilesMax; ++i) {
      const int64_t frame = batch.frames.index[i];
      if (frame % kStep != kStep / 2 || frame / kStep >= kTilesOfAClip) continue;
      pictures_.push_back(
          {mobula::Tensor::copy_of(batch.frames.frame(i), {kSide, kSide, 3}), name, frame, faces[i]});
    }
  }

  void write(const std::string& path) {
    std::sort(pictures_.begin(), pictures_.end(), [](const Picture& a, const Picture& b) {
      return a.name != b.name ? a.name < b.name : a.frame < b.frame;
    });
    std::vector<mobula::Tile> tiles;
    for (const Picture& picture : pictures_) {
      char label[64];
      std::snprintf(label, sizeof(label), "%.20s %lld  %.2f", picture.name.c_str(),
                    static_cast<long long>(picture.frame), static_cast<double>(picture.face.score));
      tiles.push_back({picture.pixels, label, {}});
      if (picture.face.score >= kFaceScore) tiles.back().boxes.push_back(picture.face.box);
    }
    if (tiles.empty()) return;
    write_file(path,
               mobula::EncodePng(mobula::ContactSheet(tiles, {.columns = kTilesOfAClip}), kPngLevel).data);
  }

 private:
  static constexpr int64_t kStep = 20;
  struct Picture {
    mobula::Tensor pixels;
    std::string name;
    int64_t frame;
    mobula::Face face;
  };
  std::vector<Picture> pictures_;
};

// -- stage: write ---------------------------------------------------------------------------------------

/// One row for each frame. The file has its name once it is complete.
class DetectionWriter {
 public:
  explicit DetectionWriter(const std::string& path) : path_(path) {
    const auto properties =
        parquet::WriterProperties::Builder().compression(arrow::Compression::SNAPPY)->build();
    auto file = arrow::io::FileOutputStream::Open(unfinished());
    expect(file.status());
    auto writer = parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), *file, properties);
    expect(writer.status());
    writer_ = std::move(*writer);
  }
  ~DetectionWriter() {
    std::error_code ignored;
    files::remove(unfinished(), ignored);
  }

  void add(const Batch& batch, const std::vector<mobula::Face>& faces, const std::string& name) {
    for (size_t i = 0; i < faces.size(); ++i) {
      const mobula::Face& face = faces[i];
      const float box[4] = {face.box.x, face.box.y, face.box.width, face.box.height};
      expect(path_column_.Append(name));
      expect(frame_column_.Append(batch.frames.index[i]));
      expect(score_column_.Append(face.score));
      expect(face_column_.Append(face.score >= kFaceScore));
      expect(box_column_.Append());
      expect(box_values_->AppendValues(box, 4));
    }
    if (frame_column_.length() >= kRowsOfAGroup) flush();
  }

  void close() {
    flush();
    expect(writer_->Close());
    files::rename(unfinished(), path_);
  }

 private:
  static constexpr int64_t kRowsOfAGroup = 64 * 1024;

  std::string unfinished() const { return path_ + ".part"; }

  void expect(const arrow::Status& status) const {
    if (!status.ok()) throw std::runtime_error("'" + path_ + "': " + status.ToString());
  }

  void flush() {
    std::vector<std::shared_ptr<arrow::Array>> columns;
    for (arrow::ArrayBuilder* builder : std::initializer_list<arrow::ArrayBuilder*>{
             &path_column_, &frame_column_, &score_column_, &face_column_, &box_column_}) {
      std::shared_ptr<arrow::Array> column;
      expect(builder->Finish(&column));
      columns.push_back(std::move(column));
    }
    if (columns[0]->length() == 0) return;
    expect(writer_->WriteTable(*arrow::Table::Make(schema_, columns), kRowsOfAGroup));
  }

  std::string path_;
  std::shared_ptr<arrow::Schema> schema_ =
      arrow::schema({arrow::field("path", arrow::utf8()), arrow::field("frame", arrow::int64()),
                     arrow::field("score", arrow::float32()), arrow::field("face", arrow::boolean()),
                     arrow::field("box", arrow::fixed_size_list(arrow::float32(), 4))});
  arrow::StringBuilder path_column_;
  arrow::Int64Builder frame_column_;
  arrow::FloatBuilder score_column_;
  arrow::BooleanBuilder face_column_;
  std::shared_ptr<arrow::FloatBuilder> box_values_ = std::make_shared<arrow::FloatBuilder>();
  arrow::FixedSizeListBuilder box_column_{arrow::default_memory_pool(), box_values_, 4};
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

// -- the three programs: all of it, decode alone, inference alone ----------------------------------------

void count(const Batch& batch, const std::vector<mobula::Face>& faces, Figures& figures) {
  figures.frames += static_cast<int64_t>(batch.frames.size());
  for (const mobula::Face& face : faces) figures.detections += face.score >= kFaceScore ? 1 : 0;
}

void run_all(const Arguments& arguments, const std::vector<std::string>& clips, Figures& figures) {
  DetectionWriter writer(arguments.output + "/detections.parquet");
  Sheet sheet;
  const auto take = [&](const Batch& batch, const std::vector<mobula::Face>& faces) {
    const auto start = Clock::now();
    const files::path path = clips[batch.clip];
    writer.add(batch, faces, path.filename().string());
    if (!arguments.sheet.empty()) sheet.add(batch, faces, path.stem().string());
    count(batch, faces, figures);
    figures.write_s += seconds_since(start);
  };

  const auto start = Clock::now();
  DetectStage detecting(arguments, figures, take);
  DecodeStage decoding(clips, arguments, figures);
  while (auto decoded = decoding.next()) detecting.add(std::move(*decoded));
  detecting.finish();
  const auto closing = Clock::now();
  writer.close();
  figures.wall_s = seconds_since(start);
  if (!arguments.sheet.empty()) sheet.write(arguments.sheet);
  figures.write_s += seconds_since(closing);
}

void run_decode(const Arguments& arguments, const std::vector<std::string>& clips, Figures& figures) {
  const auto start = Clock::now();
  DecodeStage decoding(clips, arguments, figures);
  while (auto decoded = decoding.next()) count(*decoded->batch, {}, figures);
  figures.wall_s = seconds_since(start);
}

/// Inference alone: all frames are decoded beforehand, outside the time.
void run_infer(const Arguments& arguments, const std::vector<std::string>& clips, Figures& figures) {
  std::vector<Decoded> all;
  DecodeStage decoding(clips, arguments, figures);
  while (auto decoded = decoding.next()) all.push_back(std::move(*decoded));
  figures.decode_s = 0;
  const auto take = [&](const Batch& batch, const std::vector<mobula::Face>& faces) {
    count(batch, faces, figures);
  };
  DetectStage detecting(arguments, figures, take);
  detecting.open();
  const auto start = Clock::now();
  for (Decoded& decoded : all) detecting.add(std::move(decoded));
  detecting.finish();
  figures.wall_s = seconds_since(start);
}

// -- arguments and figures -------------------------------------------------------------------------------

Arguments parse(int count, char** words) {
  Arguments arguments;
  std::string threads = "0";
  const std::map<std::string, std::string*> options{{"--model", &arguments.model},
                                                    {"--sheet", &arguments.sheet},
                                                    {"--json", &arguments.json},
                                                    {"--stage", &arguments.stage},
                                                    {"--threads", &threads}};
  std::vector<std::string> places;
  for (int i = 1; i < count; ++i) {
    const auto option = options.find(words[i]);
    if (option != options.end() && i + 1 < count) {
      *option->second = words[++i];
    } else if (words[i] == std::string("--skip-broken")) {
      arguments.skips_broken = true;
    } else {
      places.emplace_back(words[i]);
    }
  }
  if (places.size() != 2 || (arguments.model.empty() && arguments.stage != "decode")) {
    throw std::invalid_argument(
        "usage: video_inference FOLDER OUTPUT --model face_detection_short_range.tflite [--skip-broken] "
        "[--sheet FILE.png] [--json FILE] [--stage decode|infer|all] [--threads N]");
  }
  arguments.folder = places[0];
  arguments.output = places[1];
  arguments.threads = std::atoi(threads.c_str());
  if (arguments.threads <= 0) arguments.threads = static_cast<int>(std::thread::hardware_concurrency());
  return arguments;
}

/// This process and those that it started, which have ended.
void measure_processes(Figures& figures) {
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    figures.cpu_s += seconds(usage.ru_utime) + seconds(usage.ru_stime);
    figures.peak_rss_mb = std::max(figures.peak_rss_mb, static_cast<double>(usage.ru_maxrss) / 1024);
  }
}

std::string as_json(const Figures& f, const std::string& stage) {
  char text[600];
  std::snprintf(
      text, sizeof(text),
      "{\"stage\": \"%s\", \"clips\": %zu, \"skipped\": %zu, \"frames\": %lld, \"detections\": %lld, "
      "\"wall_s\": %.4f, \"frames_per_s\": %.1f, \"open_s\": %.4f, \"decode_s\": %.4f, \"infer_s\": %.4f, "
      "\"write_s\": %.4f, \"cpu_s\": %.4f, \"peak_rss_mb\": %.1f}\n",
      stage.c_str(), f.clips, f.skipped, static_cast<long long>(f.frames),
      static_cast<long long>(f.detections), f.wall_s, f.frames_per_s(), f.open_s, f.decode_s, f.infer_s,
      f.write_s, f.cpu_s, f.peak_rss_mb);
  return text;
}

void print(const Figures& f) {
  std::printf("%zu clips, %lld frames, %lld with a face\n", f.clips, static_cast<long long>(f.frames),
              static_cast<long long>(f.detections));
  if (f.skipped > 0) std::printf("%zu clips are broken; what came before the damage counts\n", f.skipped);
  std::printf("%.0f frames/s in %.2f s; the largest process took %.0f MB\n", f.frames_per_s(), f.wall_s,
              f.peak_rss_mb);
  std::printf("busy: decode %.2f s, inference %.2f s, write %.2f s; model ready after %.2f s; CPU %.2f s\n",
              f.decode_s, f.infer_s, f.write_s, f.open_s, f.cpu_s);
}

void run(const Arguments& arguments) {
  const auto stage = arguments.stage == "all"      ? run_all
                     : arguments.stage == "decode" ? run_decode
                     : arguments.stage == "infer"  ? run_infer
                                                   : nullptr;
  if (stage == nullptr)
    throw std::invalid_argument("--stage is decode, infer or all, not '" + arguments.stage + "'");
  const std::vector<std::string> clips = find_clips(arguments.folder);
  files::create_directories(arguments.output);
  Figures figures;
  figures.clips = clips.size();
  mobula::Config config;
  config.num_cpus = arguments.threads;
  mobula::Init(config);
  stage(arguments, clips, figures);
  mobula::Shutdown();
  measure_processes(figures);
  print(figures);
  if (!arguments.json.empty()) write_file(arguments.json, as_json(figures, arguments.stage));
}

}  // namespace

int main(int count, char** words) {
  try {
    run(parse(count, words));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "video_inference: %s\n", error.what());
    return 1;
  }
}

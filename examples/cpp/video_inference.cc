// A folder of clips in, faces in Parquet out: decode threads -> bounded queue -> face detector -> Parquet
// writer.
//   video_inference FOLDER OUTPUT --model face_detection_short_range.tflite
//       [--sheet FILE.png] [--json FILE] [--stage decode|infer|all] [--threads N]
// OUTPUT/detections.parquet: path, frame, score, face, box (x, y, width, height in shares of the 128x128
// frame).
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/writer.h>

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "data/media/draw.h"
#include "data/media/image.h"
#include "data/media/video.h"
#include "data/model/face_detector.h"

namespace {

using mobula::Code;
using mobula::Result;
using mobula::Status;
using mobula::media::Tile;
using mobula::model::Face;
using mobula::model::FaceDetector;
using Clock = std::chrono::steady_clock;

constexpr size_t kBatchFrames = 32;
constexpr size_t kBatchesQueued = 4;
constexpr float kFaceScore = 0.5F;
constexpr int64_t kTilesOfAClip = 6;
constexpr size_t kTilesMax = 48;
constexpr int kPngLevel = 2;  // a quarter of the time of 6, a tenth larger

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// -- what travels between the stages --------------------------------------------------------------------

struct Batch {
  size_t clip = 0;
  int64_t first_frame = 0;
  size_t frames = 0;
  std::vector<uint8_t> pixels;  // frames x 128 x 128 x 3
  std::vector<Face> faces;
};

/// A queue with a maximum, which also carries the first error of those around it.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t max) : max_(max) {}

  /// False when an error has made the item useless.
  bool push(T item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return items_.size() < max_ || !error_.is_ok(); });
    if (!error_.is_ok()) return false;
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }

  /// Empty when the queue is closed and drained, or after an error.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !items_.empty() || is_closed_ || !error_.is_ok(); });
    if (items_.empty() || !error_.is_ok()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

  /// No more items will come.
  void close() {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    changed_.notify_all();
  }

  void fail(const Status& error) {
    const std::lock_guard lock(mutex_);
    if (error_.is_ok()) error_ = error;
    changed_.notify_all();
  }

  Status error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  const size_t max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  bool is_closed_ = false;
  Status error_;
};

struct Arguments {
  std::string folder, output, model, sheet, json;
  std::string stage = "all";
  int threads = 0;
};

struct Figures {
  size_t clips = 0;
  int64_t frames = 0;
  int64_t detections = 0;
  double wall_s = 0;
  double open_s = 0;    // until the model was ready
  double decode_s = 0;  // sums over the threads of a stage
  double infer_s = 0;
  double write_s = 0;
  double cpu_s = 0;
  double peak_rss_mb = 0;
  double frames_per_s() const { return wall_s > 0 ? static_cast<double>(frames) / wall_s : 0; }
};

// -- stage: find the clips ------------------------------------------------------------------------------

/// The folder's clips, the largest first: they take longest, so they must not come last.
Result<std::vector<std::string>> find_clips(const std::string& folder) {
  std::error_code error;
  std::vector<std::pair<uintmax_t, std::string>> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string extension = entry.path().extension().string();
    const bool is_clip = extension == ".mp4" || extension == ".mkv" || extension == ".mov" ||
                         extension == ".webm" || extension == ".avi";
    if (is_clip && entry.is_regular_file()) found.emplace_back(entry.file_size(), entry.path().string());
  }
  if (error) return Status{Code::kNotFound, "folder '" + folder + "': " + error.message()};
  if (found.empty())
    return Status{Code::kNotFound, "no clips (.mp4 .mkv .mov .webm .avi) in '" + folder + "'"};
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  std::vector<std::string> clips;
  for (auto& [size, path] : found) clips.push_back(std::move(path));
  return clips;
}

// -- stage: decode --------------------------------------------------------------------------------------

/// Decodes one clip into batches of letterboxed frames. `take` is false when nobody wants more.
Status decode_clip(const std::string& path, size_t clip, int threads,
                   const std::function<bool(Batch)>& take) {
  mobula::media::VideoOptions options;
  options.size = {mobula::model::kFaceSide, mobula::model::kFaceSide};
  options.fit = mobula::media::Fit::kLetterbox;
  options.filter = mobula::media::Filter::kNearest;
  options.threads = threads;
  ASSIGN_OR_RETURN(const auto reader, mobula::media::VideoReader::open(path, options));
  Batch batch;
  mobula::media::FrameInfo info;
  for (bool more = true; more;) {
    if (batch.pixels.empty()) batch.pixels.resize(kBatchFrames * FaceDetector::kFrameBytes);
    const std::span<uint8_t> place(batch.pixels.data() + batch.frames * FaceDetector::kFrameBytes,
                                   FaceDetector::kFrameBytes);
    ASSIGN_OR_RETURN(more, reader->read_into(place, info));
    if (more && batch.frames++ == 0) batch.first_frame = info.index;
    if (batch.frames == kBatchFrames || (!more && batch.frames > 0)) {
      batch.clip = clip;
      if (!take(std::move(batch))) return {};
      batch = Batch{};
    }
  }
  return {};
}

/// Decodes all clips into a queue on several threads, and closes it. Adds the threads' own time to `busy_s`.
class DecodeStage {
 public:
  DecodeStage(const std::vector<std::string>& clips, int threads, BoundedQueue<Batch>& queue)
      : clips_(clips), queue_(queue), running_(static_cast<size_t>(threads)) {
    for (int i = 0; i < threads; ++i)
      threads_.emplace_back([this, threads] { run(static_cast<size_t>(threads)); });
  }

  double busy_s() const { return static_cast<double>(busy_ns_) / 1e9; }

 private:
  void run(size_t threads) {
    for (size_t clip = next_++; clip < clips_.size(); clip = next_++) {
      const auto start = Clock::now();
      Clock::duration waited{};
      const auto take = [&](Batch batch) {
        const auto before = Clock::now();
        const bool wanted = queue_.push(std::move(batch));
        waited += Clock::now() - before;
        return wanted;
      };
      // The last clips share the cores that no other clip takes.
      const int each = clips_.size() - clip >= threads ? 1 : 2;
      const Status status = decode_clip(clips_[clip], clip, each, take);
      busy_ns_ += std::chrono::nanoseconds(Clock::now() - start - waited).count();
      if (!status.is_ok()) queue_.fail(status);
      if (!queue_.error().is_ok()) break;
    }
    if (--running_ == 0) queue_.close();
  }

  const std::vector<std::string>& clips_;
  BoundedQueue<Batch>& queue_;
  std::atomic<size_t> next_{0};
  std::atomic<size_t> running_;
  std::atomic<int64_t> busy_ns_{0};
  std::vector<std::jthread> threads_;
};

// -- stage: detect --------------------------------------------------------------------------------------

Result<std::unique_ptr<FaceDetector>> open_detector(const Arguments& arguments) {
  mobula::model::FaceDetectorOptions options;
  options.path = arguments.model;
  options.threads = arguments.threads;
  return FaceDetector::open(options);
}

/// Keeps the detector's requests in flight from batch to batch; hands batches on in the order in which they
/// came.
class DetectStage {
 public:
  DetectStage(FaceDetector& detector, std::function<Status(Batch&)> take)
      : detector_(detector), take_(std::move(take)) {}

  Status add(Batch batch) {
    batch.faces.resize(batch.frames);
    batches_.push_back({std::move(batch), 0});
    const Batch& added = batches_.back().batch;
    for (size_t i = 0; i < added.frames; ++i) {
      if (in_flight_.size() == detector_.requests()) TRY(wait_for_one());
      const std::span<const uint8_t> pixels(added.pixels);
      ASSIGN_OR_RETURN(const auto ticket, detector_.submit(pixels.subspan(i * FaceDetector::kFrameBytes,
                                                                          FaceDetector::kFrameBytes)));
      in_flight_.push_back(ticket);
    }
    return {};
  }

  Status finish() {
    while (!in_flight_.empty()) TRY(wait_for_one());
    return {};
  }

 private:
  struct Open {
    Batch batch;
    size_t done;
  };

  Status wait_for_one() {
    Open& first = batches_.front();
    ASSIGN_OR_RETURN(first.batch.faces[first.done], detector_.wait(in_flight_.front()));
    in_flight_.pop_front();
    if (++first.done < first.batch.frames) return {};
    const Status taken = take_(first.batch);
    batches_.pop_front();
    return taken;
  }

  FaceDetector& detector_;
  std::function<Status(Batch&)> take_;
  std::deque<Open> batches_;
  std::deque<mobula::model::Predictor::Ticket> in_flight_;
};

// -- stage: contact sheet -------------------------------------------------------------------------------

/// Keeps a few frames of each clip, and draws them when all is done.
class Sheet {
 public:
  void add(const Batch& batch, const std::string& name) {
    for (size_t i = 0; i < batch.frames && pictures_.size() < kTilesMax; ++i) {
      const int64_t frame = batch.first_frame + static_cast<int64_t>(i);
      if (frame % kStep != kStep / 2 || frame / kStep >= kTilesOfAClip) continue;
      const auto* from = batch.pixels.data() + i * FaceDetector::kFrameBytes;
      pictures_.push_back(
          {batch.clip, frame, {from, from + FaceDetector::kFrameBytes}, batch.faces[i], name});
    }
  }

  Status write(const std::string& path) {
    std::sort(pictures_.begin(), pictures_.end(), [](const Picture& a, const Picture& b) {
      return a.name != b.name ? a.name < b.name : a.frame < b.frame;
    });
    std::vector<Tile> tiles;
    for (const Picture& picture : pictures_) {
      char label[64];
      std::snprintf(label, sizeof(label), "%.20s %lld  %.2f", picture.name.c_str(),
                    static_cast<long long>(picture.frame), static_cast<double>(picture.face.score));
      Tile tile{{{mobula::model::kFaceSide, mobula::model::kFaceSide},
                 mobula::media::PixelFormat::kRgb24,
                 picture.pixels},
                label,
                {}};
      const auto& box = picture.face.box;
      if (picture.face.score >= kFaceScore) tile.boxes.push_back({box.x, box.y, box.width, box.height});
      tiles.push_back(std::move(tile));
    }
    mobula::media::SheetOptions options;
    options.columns = kTilesOfAClip;
    ASSIGN_OR_RETURN(const auto sheet, mobula::media::contact_sheet(tiles, options));
    ASSIGN_OR_RETURN(const auto png, mobula::media::encode_png(sheet.view(), kPngLevel));
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
    if (!file.flush()) return {Code::kDenied, "contact sheet '" + path + "' cannot be written"};
    return {};
  }

 private:
  static constexpr int64_t kStep = 20;
  struct Picture {
    size_t clip;
    int64_t frame;
    std::vector<uint8_t> pixels;
    Face face;
    std::string name;
  };
  std::vector<Picture> pictures_;
};

// -- stage: write ---------------------------------------------------------------------------------------

Status from_arrow(const arrow::Status& status, const std::string& path) {
  if (status.ok()) return {};
  return {status.IsIOError() ? Code::kDenied : Code::kInternal, "'" + path + "': " + status.ToString()};
}

class DetectionWriter {
 public:
  Status open(const std::string& path) {
    path_ = path;
    auto file = arrow::io::FileOutputStream::Open(path);
    TRY(from_arrow(file.status(), path));
    const auto properties =
        parquet::WriterProperties::Builder().compression(arrow::Compression::SNAPPY)->build();
    auto writer = parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), *file, properties);
    TRY(from_arrow(writer.status(), path));
    writer_ = std::move(*writer);
    return {};
  }

  Status add(const Batch& batch, const std::string& name) {
    for (size_t i = 0; i < batch.frames; ++i) {
      const Face& face = batch.faces[i];
      const float box[4] = {face.box.x, face.box.y, face.box.width, face.box.height};
      TRY(from_arrow(path_column_.Append(name), path_));
      TRY(from_arrow(frame_column_.Append(batch.first_frame + static_cast<int64_t>(i)), path_));
      TRY(from_arrow(score_column_.Append(face.score), path_));
      TRY(from_arrow(face_column_.Append(face.score >= kFaceScore), path_));
      TRY(from_arrow(box_column_.Append(), path_));
      TRY(from_arrow(box_values_->AppendValues(box, 4), path_));
      detections_ += face.score >= kFaceScore ? 1 : 0;
    }
    return frame_column_.length() >= kRowsOfAGroup ? flush() : Status{};
  }

  Status close() {
    TRY(flush());
    return from_arrow(writer_->Close(), path_);
  }

  int64_t detections() const { return detections_; }

 private:
  static constexpr int64_t kRowsOfAGroup = 64 * 1024;

  Status flush() {
    std::vector<std::shared_ptr<arrow::Array>> columns;
    for (arrow::ArrayBuilder* builder : std::initializer_list<arrow::ArrayBuilder*>{
             &path_column_, &frame_column_, &score_column_, &face_column_, &box_column_}) {
      std::shared_ptr<arrow::Array> column;
      TRY(from_arrow(builder->Finish(&column), path_));
      columns.push_back(std::move(column));
    }
    if (columns[0]->length() == 0) return {};
    const auto table = arrow::Table::Make(schema_, columns);
    return from_arrow(writer_->WriteTable(*table, kRowsOfAGroup), path_);
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
  int64_t detections_ = 0;
};

// -- the three programs: all of it, decode alone, inference alone ----------------------------------------

/// Takes batches until there are no more. `busy_s`: all but the time spent waiting for them.
Status run_detection(FaceDetector& detector, BoundedQueue<Batch>& decoded,
                     const std::function<Status(Batch&)>& take, double& busy_s) {
  DetectStage stage(detector, take);
  while (auto batch = decoded.pop()) {
    const auto start = Clock::now();
    TRY(stage.add(std::move(*batch)));
    busy_s += seconds_since(start);
  }
  const auto start = Clock::now();
  TRY(stage.finish());
  busy_s += seconds_since(start);
  return {};
}

Status run_all(const Arguments& arguments, const std::vector<std::string>& clips, Figures& figures) {
  DetectionWriter writer;
  TRY(writer.open(arguments.output + "/detections.parquet"));
  Sheet sheet;
  const auto take = [&](Batch& batch) {
    const auto start = Clock::now();
    const std::filesystem::path path = clips[batch.clip];
    TRY(writer.add(batch, path.filename().string()));
    if (!arguments.sheet.empty()) sheet.add(batch, path.stem().string());
    figures.frames += static_cast<int64_t>(batch.frames);
    figures.write_s += seconds_since(start);
    return Status{};
  };

  const auto start = Clock::now();
  BoundedQueue<Batch> decoded(kBatchesQueued);
  DecodeStage decoding(clips, arguments.threads, decoded);
  auto detector = open_detector(arguments);  // while the first frames are being decoded
  figures.open_s = seconds_since(start);
  const Status detected =
      detector.is_ok() ? run_detection(**detector, decoded, take, figures.infer_s) : detector.status();
  if (!detected.is_ok()) decoded.fail(detected);
  TRY(decoded.error());
  const auto closing = Clock::now();
  TRY(writer.close());
  figures.wall_s = seconds_since(start);
  if (!arguments.sheet.empty()) TRY(sheet.write(arguments.sheet));
  figures.write_s += seconds_since(closing);
  figures.decode_s = decoding.busy_s();
  figures.detections = writer.detections();
  return {};
}

Status run_decode(const Arguments& arguments, const std::vector<std::string>& clips, Figures& figures) {
  const auto start = Clock::now();
  BoundedQueue<Batch> decoded(kBatchesQueued);
  DecodeStage decoding(clips, arguments.threads, decoded);
  while (auto batch = decoded.pop()) figures.frames += static_cast<int64_t>(batch->frames);
  figures.wall_s = seconds_since(start);
  figures.decode_s = decoding.busy_s();
  return decoded.error();
}

/// Inference alone: all frames are decoded beforehand, outside the time.
Status run_infer(const Arguments& arguments, const std::vector<std::string>& clips, Figures& figures) {
  BoundedQueue<Batch> kept(std::numeric_limits<size_t>::max());
  {
    const DecodeStage decoding(clips, arguments.threads, kept);
  }
  const auto opening = Clock::now();
  ASSIGN_OR_RETURN(const auto detector, open_detector(arguments));
  figures.open_s = seconds_since(opening);
  const auto take = [&figures](Batch& batch) {
    figures.frames += static_cast<int64_t>(batch.frames);
    for (const Face& face : batch.faces) figures.detections += face.score >= kFaceScore ? 1 : 0;
    return Status{};
  };
  const auto start = Clock::now();
  TRY(run_detection(*detector, kept, take, figures.infer_s));
  figures.wall_s = seconds_since(start);
  return kept.error();
}

// -- arguments and figures -------------------------------------------------------------------------------

Result<Arguments> parse(int count, char** words) {
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
    } else {
      places.emplace_back(words[i]);
    }
  }
  if (places.size() != 2 || (arguments.model.empty() && arguments.stage != "decode")) {
    return Status{Code::kInvalid,
                  "usage: video_inference FOLDER OUTPUT --model face_detection_short_range.tflite "
                  "[--sheet FILE.png] [--json FILE] [--stage decode|infer|all] [--threads N]"};
  }
  arguments.folder = places[0];
  arguments.output = places[1];
  arguments.threads = std::atoi(threads.c_str());
  if (arguments.threads <= 0) arguments.threads = static_cast<int>(std::thread::hardware_concurrency());
  return arguments;
}

void measure_process(Figures& figures) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  figures.cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  figures.peak_rss_mb = static_cast<double>(usage.ru_maxrss) / 1024;
}

std::string as_json(const Figures& f, const std::string& stage) {
  char text[600];
  std::snprintf(
      text, sizeof(text),
      "{\"stage\": \"%s\", \"clips\": %zu, \"frames\": %lld, \"detections\": %lld, \"wall_s\": %.4f, "
      "\"frames_per_s\": %.1f, \"open_s\": %.4f, \"decode_s\": %.4f, \"infer_s\": %.4f, \"write_s\": %.4f, "
      "\"cpu_s\": %.4f, \"peak_rss_mb\": %.1f}\n",
      stage.c_str(), f.clips, static_cast<long long>(f.frames), static_cast<long long>(f.detections),
      f.wall_s, f.frames_per_s(), f.open_s, f.decode_s, f.infer_s, f.write_s, f.cpu_s, f.peak_rss_mb);
  return text;
}

void print(const Figures& f) {
  std::printf("%zu clips, %lld frames, %lld with a face\n", f.clips, static_cast<long long>(f.frames),
              static_cast<long long>(f.detections));
  std::printf("%.0f frames/s in %.2f s; peak memory %.0f MB\n", f.frames_per_s(), f.wall_s, f.peak_rss_mb);
  std::printf("busy: decode %.2f s, inference %.2f s, write %.2f s; model ready after %.2f s; CPU %.2f s\n",
              f.decode_s, f.infer_s, f.write_s, f.open_s, f.cpu_s);
}

Status run(int count, char** words) {
  ASSIGN_OR_RETURN(const Arguments arguments, parse(count, words));
  ASSIGN_OR_RETURN(const auto clips, find_clips(arguments.folder));
  std::error_code error;
  std::filesystem::create_directories(arguments.output, error);
  if (error) return {Code::kDenied, "output folder '" + arguments.output + "': " + error.message()};
  Figures figures;
  figures.clips = clips.size();
  const auto stage = arguments.stage == "all"      ? run_all
                     : arguments.stage == "decode" ? run_decode
                     : arguments.stage == "infer"  ? run_infer
                                                   : nullptr;
  if (stage == nullptr) {
    return {Code::kInvalid, "--stage is decode, infer or all, not '" + arguments.stage + "'"};
  }
  TRY(stage(arguments, clips, figures));
  measure_process(figures);
  print(figures);
  if (arguments.json.empty()) return {};
  std::ofstream file(arguments.json);
  file << as_json(figures, arguments.stage);
  if (!file.flush()) return {Code::kDenied, "figures '" + arguments.json + "' cannot be written"};
  return {};
}

}  // namespace

int main(int count, char** words) {
  const Status status = run(count, words);
  if (status.is_ok()) return 0;
  std::fprintf(stderr, "video_inference: %s\n", status.to_string().c_str());
  return 1;
}

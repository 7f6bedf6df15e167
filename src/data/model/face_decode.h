// From the numbers of a BlazeFace model to faces: SSD anchors, boxes and key points, weighted suppression
// (Bazarevsky et al. 2019, "BlazeFace"; the arithmetic is MediaPipe's). Pure functions, any thread. Tests:
// face_detector_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace mobula::model {

/// Side of the square input of the short-range model, in pixels.
inline constexpr int kFaceSide = 128;
inline constexpr size_t kFaceAnchors = 896;
inline constexpr size_t kFaceNumbers = 16;  // a box and six key points, two numbers each pair
inline constexpr size_t kFaceKeyPoints = 6;

/// Shares of the input's width and height.
struct FacePoint {
  float x = 0;
  float y = 0;
};

struct FaceBox {
  float x = 0;  ///< left
  float y = 0;  ///< top
  float width = 0;
  float height = 0;
};

struct Face {
  FaceBox box;
  /// Right eye, left eye, nose tip, mouth centre, right ear, left ear: of the person, not of the picture.
  std::array<FacePoint, kFaceKeyPoints> key_points{};
  float score = 0;
};

/// Centres of the anchors: a 16x16 grid with 2 for each cell, then an 8x8 grid with 6.
const std::array<FacePoint, kFaceAnchors>& face_anchors();

/// What the model gave for one frame.
struct FaceNumbers {
  std::span<const float> regressors;  ///< kFaceAnchors x kFaceNumbers, in pixels of the input
  std::span<const float> logits;      ///< kFaceAnchors
};

/// The anchor with the highest score, whatever it is.
Face best_face(const FaceNumbers& numbers);

/// All faces that score at least `score_min`, the best first. Boxes that overlap a better one by more than
/// `overlap_max` (intersection over union) are averaged into it, weighted by their scores.
std::vector<Face> all_faces(const FaceNumbers& numbers, float score_min, float overlap_max);

}  // namespace mobula::model

// Decoding of BlazeFace's 896 anchors. Tests: face_detector_test.cc.
#include "data/model/face_decode.h"

#include <algorithm>
#include <cmath>

namespace mobula::model {
namespace {

constexpr float kLogitMax = 80;  // where exp() would leave the range of floats

std::array<FacePoint, kFaceAnchors> make_anchors() {
  std::array<FacePoint, kFaceAnchors> anchors{};
  size_t next = 0;
  constexpr std::array<std::array<int, 2>, 2> kGrids{{{8, 2}, {16, 6}}};  // stride, anchors for each cell
  for (const auto& [stride, each] : kGrids) {
    const int cells = kFaceSide / stride;
    for (int y = 0; y < cells; ++y) {
      for (int x = 0; x < cells; ++x) {
        const FacePoint centre{(static_cast<float>(x) + 0.5F) / static_cast<float>(cells),
                               (static_cast<float>(y) + 0.5F) / static_cast<float>(cells)};
        for (int i = 0; i < each; ++i) anchors[next++] = centre;
      }
    }
  }
  return anchors;
}

float sigmoid(float logit) { return 1 / (1 + std::exp(-std::clamp(logit, -kLogitMax, kLogitMax))); }

Face decode(const FaceNumbers& numbers, size_t anchor, float score) {
  const float* number = numbers.regressors.data() + anchor * kFaceNumbers;
  const FacePoint centre = face_anchors()[anchor];
  constexpr float kSide = kFaceSide;
  Face face;
  face.box.width = number[2] / kSide;
  face.box.height = number[3] / kSide;
  face.box.x = number[0] / kSide + centre.x - face.box.width / 2;
  face.box.y = number[1] / kSide + centre.y - face.box.height / 2;
  for (size_t i = 0; i < kFaceKeyPoints; ++i) {
    face.key_points[i] = {number[4 + 2 * i] / kSide + centre.x, number[5 + 2 * i] / kSide + centre.y};
  }
  face.score = score;
  return face;
}

float overlap(const FaceBox& a, const FaceBox& b) {
  const float width = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x);
  const float height = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
  if (width <= 0 || height <= 0) return 0;
  const float shared = width * height;
  const float all = a.width * a.height + b.width * b.height - shared;
  return all > 0 ? shared / all : 0;
}

void add_weighted(Face& sum, const Face& face) {
  sum.box.x += face.box.x * face.score;
  sum.box.y += face.box.y * face.score;
  sum.box.width += face.box.width * face.score;
  sum.box.height += face.box.height * face.score;
  for (size_t i = 0; i < kFaceKeyPoints; ++i) {
    sum.key_points[i].x += face.key_points[i].x * face.score;
    sum.key_points[i].y += face.key_points[i].y * face.score;
  }
  sum.score += face.score;
}

Face divided_by_score(Face sum, float score) {
  const float total = sum.score;
  sum.box = {sum.box.x / total, sum.box.y / total, sum.box.width / total, sum.box.height / total};
  for (FacePoint& point : sum.key_points) point = {point.x / total, point.y / total};
  sum.score = score;
  return sum;
}

}  // namespace

const std::array<FacePoint, kFaceAnchors>& face_anchors() {
  static const std::array<FacePoint, kFaceAnchors> anchors = make_anchors();
  return anchors;
}

Face best_face(const FaceNumbers& numbers) {
  size_t best = 0;
  float best_score = -1;
  for (size_t i = 0; i < kFaceAnchors; ++i) {
    const float score = sigmoid(numbers.logits[i]);
    if (score > best_score) {
      best = i;
      best_score = score;
    }
  }
  return decode(numbers, best, best_score);
}

std::vector<Face> all_faces(const FaceNumbers& numbers, float score_min, float overlap_max) {
  std::vector<Face> left;
  for (size_t i = 0; i < kFaceAnchors; ++i) {
    const float score = sigmoid(numbers.logits[i]);
    if (score < score_min) continue;
    const Face face = decode(numbers, i, score);
    if (face.box.width > 0 && face.box.height > 0) left.push_back(face);
  }
  std::stable_sort(left.begin(), left.end(), [](const Face& a, const Face& b) { return a.score > b.score; });
  std::vector<Face> kept;
  while (!left.empty()) {
    const Face best = left.front();
    Face sum;
    std::vector<Face> others;
    for (const Face& face : left) {
      if (overlap(best.box, face.box) > overlap_max) {
        add_weighted(sum, face);
      } else {
        others.push_back(face);
      }
    }
    if (sum.score == 0) {  // overlap_max of 1 or more: nothing overlaps even itself
      add_weighted(sum, best);
      others.erase(others.begin());
    }
    kept.push_back(divided_by_score(sum, best.score));
    left.swap(others);
  }
  return kept;
}

}  // namespace mobula::model

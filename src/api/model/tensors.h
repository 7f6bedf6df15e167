// What the public models share: tensors and options as the words of data/model, and its Status as an
// exception. Any thread. Tests: api_model_test.cc.
#pragma once

#include <mobula/model.h>
#include <mobula/tensor.h>

#include <utility>

#include "base/status.h"
#include "data/model/predictor.h"

namespace mobula::inline v1::internal {

model::Element element_of(DType dtype);
inline model::Mode mode_of(ModelMode mode) {
  return mode == ModelMode::kLatency ? model::Mode::kLatency : model::Mode::kThroughput;
}

/// The tensor where it lies.
model::TensorView view_of(const Tensor& tensor);
/// In memory of its own. ModelException for elements that a Tensor cannot have.
Tensor copy_of(const model::TensorView& view);

/// ModelException for anything but ok.
void expect_model(const Status& status);
template <typename T>
T unwrap_model(Result<T> result) {
  expect_model(result.status());
  return std::move(result).value();
}

}  // namespace mobula::inline v1::internal

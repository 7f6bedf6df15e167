// Resizing of pictures in memory, bit for bit as Pillow's Image.resize does it: the filter's support grows
// with the reduction, so that nothing is skipped when a picture shrinks. Any thread. Tests: image_test.cc.
#pragma once

#include "base/status.h"
#include "data/media/media.h"

namespace mobula::media {

/// Both pictures have the same format; kInvalid when they do not, or when the memory does not fit the size.
Status resize(const ImageView& from, const ImageSpan& to, Filter filter);

/// resize() onto the place that place() gives, with black around it (alpha 0 in kRgba32).
Status resize_to_fit(const ImageView& from, const ImageSpan& to, Filter filter, Fit fit);

}  // namespace mobula::media

// Places in a picture, in shares of its width and height: what detectors give and drawing takes.
#pragma once

#include <mobula/codec.h>

namespace mobula::inline v1 {

/// A point: 0, 0 is the upper left corner, 1, 1 the lower right.
struct Point {
  float x = 0;
  float y = 0;
  MOBULA_SERIALIZE(x, y);
};

/// A box by its upper left corner. It may reach beyond the picture.
struct Box {
  float x = 0;
  float y = 0;
  float width = 0;
  float height = 0;
  MOBULA_SERIALIZE(x, y, width, height);
};

}  // namespace mobula::inline v1

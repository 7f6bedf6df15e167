// A 5x7 dot font for printable ASCII: five bytes a glyph, a byte a column, the lowest bit on top.
// Constant data. Tests: draw_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mobula::media {

inline constexpr int kGlyphWidth = 5;
inline constexpr int kGlyphHeight = 7;

using Glyph = std::array<uint8_t, kGlyphWidth>;

/// The glyph of a character; '?' for what is not printable ASCII.
const Glyph& glyph_of(char character);

}  // namespace mobula::media

// SPDX-License-Identifier: Apache-2.0
#include "log/layout.h"

namespace mlxguard::log::layout {
namespace {

std::string padded(std::uint64_t value, std::size_t digits) {
  std::string text = std::to_string(value);
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return text;
}

std::string with_width(std::string path, unsigned width) {
  if (width < kTileWidth) path += ".p/" + std::to_string(width);
  return path;
}

}  // namespace

std::string tile_number(std::uint64_t index) {
  std::string path = padded(index % 1000, 3);
  for (std::uint64_t rest = index / 1000; rest > 0; rest /= 1000) {
    path = "x" + padded(rest % 1000, 3) + "/" + path;
  }
  return path;
}

std::string tile(int level, std::uint64_t index, unsigned width) {
  return with_width("tile/" + std::to_string(level) + "/" + tile_number(index), width);
}

std::string bundle(std::uint64_t index, unsigned width) {
  return with_width("tile/entries/" + tile_number(index), width);
}

std::string tile_partials(int level, std::uint64_t index) {
  return "tile/" + std::to_string(level) + "/" + tile_number(index) + ".p";
}

std::string bundle_partials(std::uint64_t index) {
  return "tile/entries/" + tile_number(index) + ".p";
}

std::string journal_segment(std::uint64_t first_index) {
  return std::string(kJournalFolder) + "/" + padded(first_index, 20);
}

}  // namespace mlxguard::log::layout

// Texts are kept once; a program has few places and many calls.
#include "task/sites.h"

#include <utility>

namespace mobula {

void SiteTable::add(TaskId made, std::string site) {
  if (site.size() > kTextBytesMax) site.resize(kTextBytesMax);
  auto text = texts_.find(site);
  if (text == texts_.end()) {
    if (texts_.size() == kTextsMax) return;
    text = texts_.insert(std::move(site)).first;
  }
  if (!sites_.insert_or_assign(made, &*text).second) return;
  order_.push_back(made);
  if (order_.size() <= kSitesMax) return;
  sites_.erase(order_.front());
  order_.pop_front();
}

std::string_view SiteTable::find(TaskId made) const {
  auto found = sites_.find(made);
  return found == sites_.end() ? std::string_view() : *found->second;
}

}  // namespace mobula

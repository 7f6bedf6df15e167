// Actors: an object in a process of its own, called through handles; named, shared between tasks, and started
// anew after a crash.
#include <mobula/api.h>

#include <iostream>
#include <map>
#include <stdexcept>

/// Counts words. Any class can be an actor; it needs a factory that returns a new one.
class WordCount {
 public:
  static WordCount* Create() { return new WordCount; }

  void Add(const std::string& line) {
    for (size_t at = 0; at < line.size();) {
      const size_t end = std::min(line.find(' ', at), line.size());
      if (end > at) ++counts_[line.substr(at, end - at)];
      at = end + 1;
    }
  }
  std::map<std::string, int> Counts() const { return counts_; }
  int Count(const std::string& word) const {
    auto found = counts_.find(word);
    if (found == counts_.end()) throw std::out_of_range("nobody said '" + word + "'");
    return found->second;
  }

 private:
  std::map<std::string, int> counts_;
};

/// A task that calls an actor: handles are values like any other.
int ReadPage(const mobula::ActorHandle<WordCount>& counter, const std::string& page) {
  counter.Task(&WordCount::Add).Remote(page).Get();
  return static_cast<int>(page.size());
}

MOBULA_REMOTE(WordCount::Create, &WordCount::Add, &WordCount::Counts, &WordCount::Count, ReadPage);

int main() {
  mobula::Init();

  auto counter = mobula::Actor(WordCount::Create).SetName("words").SetMaxRestarts(1).Remote();
  std::vector<mobula::ObjectRef<int>> pages;
  for (const char* page : {"the ray is a fish", "the manta is a ray", "a ray of light"}) {
    pages.push_back(mobula::Task(ReadPage).Remote(counter, page));
  }
  int bytes = 0;
  for (const auto& size : mobula::Get(pages)) bytes += *size;

  auto found = mobula::GetActor<WordCount>("words");  // anyone who knows the name
  std::cout << bytes << " bytes, 'ray' " << *found->Task(&WordCount::Count).Remote("ray").Get() << " times\n";

  try {
    counter.Task(&WordCount::Count).Remote("shark").Get();
  } catch (const mobula::RayTaskException& error) {
    std::cout << error.error().type << ": " << error.error().message << "\n";
  }

  counter.Kill(/*no_restart=*/false);  // as a crash would: it starts anew, and empty
  std::cout << counter.Task(&WordCount::Counts).Remote().Get()->size() << " words after the restart\n";

  mobula::Shutdown();
}

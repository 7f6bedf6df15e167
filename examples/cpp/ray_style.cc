// A program written for Ray's C++ API. One line differs: it includes <mobula/ray.h> instead of <ray/api.h>.
#include <mobula/ray.h>

#include <iostream>

/// A bank account that keeps its history.
class Account {
 public:
  explicit Account(int balance) : balance_(balance) {}
  static Account* Open(int balance) { return new Account(balance); }
  static Account* Open() { return new Account(0); }

  int Deposit(int amount) {
    history_.push_back(amount);
    return balance_ += amount;
  }
  int Withdraw(int amount) {
    if (amount > balance_) throw std::runtime_error("the account has only " + std::to_string(balance_));
    return Deposit(-amount);
  }
  std::vector<int> History() { return history_; }

 private:
  int balance_;
  std::vector<int> history_;
};

struct Transfer {
  std::string from, to;
  int amount = 0;
  MSGPACK_DEFINE(from, to, amount);
};

int Interest(int balance, double rate) { return static_cast<int>(balance * rate); }

int Run(const Transfer& transfer) {
  auto from = *ray::GetActor<Account>(transfer.from);
  auto to = *ray::GetActor<Account>(transfer.to);
  from.Task(&Account::Withdraw).Remote(transfer.amount).Get();
  return *to.Task(&Account::Deposit).Remote(transfer.amount).Get();
}

RAY_REMOTE(RAY_FUNC(Account::Open, int), RAY_FUNC(Account::Open), &Account::Deposit, &Account::Withdraw,
           &Account::History, Interest, Run);

int main(int argc, char** argv) {
  ray::RayConfig config;
  config.head_args = {"--num-cpus", "4"};
  ray::Init(config, argc, argv);

  auto object = ray::Put(100);
  std::cout << "put and get: " << *(ray::Get(object)) << "\n";

  ray::ActorHandle<Account> alice = ray::Actor(RAY_FUNC(Account::Open, int)).SetName("alice").Remote(object);
  ray::ActorHandle<Account> bob =
      ray::Actor(RAY_FUNC(Account::Open)).SetName("bob").SetMaxRestarts(1).Remote();

  auto balance = alice.Task(&Account::Deposit).Remote(50);
  auto interest = ray::Task(Interest).SetName("interest").SetResources({{"CPU", 1.0}}).Remote(balance, 0.1);
  std::cout << "interest: " << *(interest.Get()) << "\n";

  auto moved = ray::Task(Run).Remote(Transfer{"alice", "bob", 70});
  std::cout << "bob has: " << *(ray::Get(moved)) << "\n";

  std::vector<ray::ObjectRef<int>> deposits;
  for (int i = 1; i <= 3; ++i) deposits.push_back(bob.Task(&Account::Deposit).Remote(i));
  ray::WaitResult<int> result = ray::Wait(deposits, 3, 5000);
  std::cout << "ready: " << result.ready.size() << ", not ready: " << result.unready.size() << "\n";
  std::cout << "bob's entries: " << bob.Task(&Account::History).Remote().Get()->size() << "\n";

  try {
    alice.Task(&Account::Withdraw).Remote(1000).Get();
  } catch (const ray::internal::RayTaskException& error) {
    std::cout << "refused: " << error.error().message << "\n";
  }
  alice.Kill();
  try {
    alice.Task(&Account::History).Remote().Get();
  } catch (const ray::internal::RayActorException&) {
    std::cout << "alice's account is closed\n";
  }

  ray::Shutdown();
  return 0;
}

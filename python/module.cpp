// SPDX-License-Identifier: Apache-2.0
// mlxguard._core: the public C++ API for Python. Errors become the typed exceptions of _errors.py.
// Exceptions are used here, as Python and nanobind do; nothing of this reaches the library.
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "mlxguard/mlxguard.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

[[noreturn]] void raise(const mlxguard::Error& error) {
  const nb::object make = nb::module_::import_("mlxguard._errors").attr("make");
  const nb::object exception =
      make(static_cast<int>(error.kind), error.number, error.code, error.message, error.subject,
           error.expected, error.actual, error.hint);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw nb::python_error();
}

template <typename T>
T unwrap(mlxguard::Result<T> result) {
  if (!result) raise(result.error());
  return std::move(result).value();
}

/// What runs in this process, for its end: threads must be back from C++ before Python goes, since
/// a thread that asks a finalizing interpreter for the GIL is killed where it stands.
struct Running {
  std::atomic<int> calls{0};
  std::atomic<bool> ending{false};
};
Running running;

/// Counts a call as running.
class Call {
 public:
  Call() { ++running.calls; }
  ~Call() { --running.calls; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
};

/// Calls off what runs and waits for it. After this every call is called off.
void end_all() {
  running.ending = true;
  const nb::gil_scoped_release released;
  while (running.calls != 0) std::this_thread::sleep_for(std::chrono::milliseconds{1});
}

/// The threads that ran calls do not exist in a child.
void forget_after_fork() { running.calls = 0; }

/// True on a thread while it is in a `progress` function.
thread_local bool is_telling = false;

/// Python's `progress`. The guard and whoever calls it share this; Python's collector sees through
/// it (traverse_guard), and may empty it.
struct Callback {
  nb::object function;  // touched with the GIL held only

  explicit Callback(nb::object given) : function(std::move(given)) {}
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  ~Callback() {
    const nb::gil_scoped_acquire acquired;
    function.reset();
  }
  void operator()(std::uint64_t done, std::uint64_t total) const {
    if (running.ending) return;
    const nb::gil_scoped_acquire acquired;
    const nb::object called = function;
    if (!called.is_valid()) return;
    is_telling = true;
    try {
      called(done, total);
    } catch (nb::python_error& problem) {
      problem.discard_as_unraisable("mlxguard progress");  // it must not decide over verification
    }
    is_telling = false;
  }
};

/// To end a guard writes its log out: without the GIL.
struct EndGuard {
  void operator()(mlxguard::Guard* guard) const {
    const nb::gil_scoped_release released;
    delete guard;  // NOLINT(cppcoreguidelines-owning-memory): a deleter
  }
};

struct PyGuard {
  std::shared_ptr<Callback> progress;
  std::unique_ptr<mlxguard::Guard, EndGuard> guard;
};

int traverse_guard(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  const PyGuard* const held = nb::inst_ptr<PyGuard>(self);
  if (held->progress) Py_VISIT(held->progress->function.ptr());
  return 0;
}

int clear_guard(PyObject* self) {
  if (!nb::inst_ready(self)) return 0;
  const PyGuard* const held = nb::inst_ptr<PyGuard>(self);
  if (held->progress) held->progress->function.reset();
  return 0;
}

std::array<PyType_Slot, 3> guard_slots{
    PyType_Slot{Py_tp_traverse, reinterpret_cast<void*>(&traverse_guard)},
    PyType_Slot{Py_tp_clear, reinterpret_cast<void*>(&clear_guard)},
    PyType_Slot{0, nullptr},
};

PyGuard open_guard(const std::filesystem::path& state, const std::filesystem::path& config,
                   std::vector<std::filesystem::path> public_keys, const nb::object& progress) {
  mlxguard::Options options{state, config, std::move(public_keys), {}};
  PyGuard opened;
  if (!progress.is_none()) {
    opened.progress = std::make_shared<Callback>(progress);
    options.progress = [callback = opened.progress](std::uint64_t done, std::uint64_t total) {
      (*callback)(done, total);
    };
  }
  auto guard = [&] {
    const nb::gil_scoped_release released;
    return mlxguard::Guard::open(std::move(options));
  }();
  opened.guard.reset(new mlxguard::Guard(unwrap(std::move(guard))));
  return opened;
}

/// Runs `work` on a thread of its own, without the GIL, while this one listens for Ctrl-C: files of
/// many gigabytes are not read to their end first.
template <typename Work>
auto interruptible(Work work) {
  constexpr std::chrono::milliseconds kListenEvery{50};
  if (is_telling) {  // the library looks at its own thread, which is another one here
    mlxguard::Error error;
    error.kind = mlxguard::Error::Kind::kUsage;
    error.number = 1100;
    error.code = "usage";
    error.message = "called from the progress function of a guard";
    error.hint = "only note there how far it is; call the guard from elsewhere";
    raise(error);
  }
  const Call counted;
  std::atomic<bool> interrupted{false};
  auto answer = std::async(std::launch::async, [&] {
    return work([&interrupted] { return interrupted.load() || running.ending.load(); });
  });
  {
    const nb::gil_scoped_release released;
    while (answer.wait_for(kListenEvery) != std::future_status::ready) {
      if (interrupted || running.ending) continue;
      const nb::gil_scoped_acquire acquired;
      interrupted = PyErr_CheckSignals() != 0;
    }
  }
  if (interrupted) throw nb::python_error();
  return answer.get();
}

mlxguard::Model load(PyGuard& held, const std::filesystem::path& path, const std::string& name) {
  return unwrap(interruptible(
      [&](std::function<bool()> stop) { return held.guard->load(path, name, std::move(stop)); }));
}

mlxguard::Report verify(PyGuard& held, const std::filesystem::path& path) {
  return unwrap(interruptible(
      [&](std::function<bool()> stop) { return held.guard->verify(path, std::move(stop)); }));
}

/// Answers without the GIL: what is asked may wait for the disk, or take long.
template <typename Ask>
void ask_released(Ask ask) {
  auto answer = [&] {
    const nb::gil_scoped_release released;
    return ask();
  }();
  unwrap(std::move(answer));
}

void close_guard(PyGuard& held) {
  ask_released([&] { return held.guard->close(); });
}

void check_structure(const mlxguard::Model& model, const std::string& file,
                     const std::string& format) {
  ask_released([&] { return model.check_structure(file, format); });
}

/// "source hub, signer: ... [trust.signer]" each.
std::vector<std::string> words_of(const std::vector<mlxguard::Error>& errors) {
  std::vector<std::string> words;
  for (const mlxguard::Error& error : errors) {
    words.push_back(error.message + " [" + error.code + "]");
  }
  return words;
}

}  // namespace

NB_MODULE(_core, module) {
  module.def("version", [] { return std::string(mlxguard::version()); });
  module.def("end_all", &end_all);
  module.def("forget_after_fork", &forget_after_fork);

  nb::class_<mlxguard::Model::File>(module, "File")
      .def_ro("name", &mlxguard::Model::File::name)
      .def_ro("size", &mlxguard::Model::File::size_bytes)
      .def_ro("descriptor", &mlxguard::Model::File::descriptor);

  nb::class_<mlxguard::Model>(module, "Model")
      .def_prop_ro("name", &mlxguard::Model::name)
      .def_prop_ro("root_digest", &mlxguard::Model::root_digest)
      .def_prop_ro("signer", &mlxguard::Model::signer)
      .def_prop_ro("warnings",
                   [](const mlxguard::Model& model) { return words_of(model.warnings()); })
      .def_prop_ro("files",
                   [](const mlxguard::Model& model) {
                     return std::vector(model.files().begin(), model.files().end());
                   })
      .def("check_structure", &check_structure, "file"_a, "format"_a = "");

  nb::class_<mlxguard::Report>(module, "Report", "What a signature says about a folder right now.")
      .def_ro("root_digest", &mlxguard::Report::root_digest)
      .def_ro("signer", &mlxguard::Report::signer)
      .def_ro("signer_name", &mlxguard::Report::signer_name)
      .def_ro("files", &mlxguard::Report::files)
      .def_ro("bytes", &mlxguard::Report::bytes)
      .def_prop_ro("warnings",
                   [](const mlxguard::Report& report) { return words_of(report.warnings); });

  nb::class_<PyGuard>(module, "Guard", nb::type_slots(guard_slots.data()))
      .def_static("open", &open_guard, "state"_a, "config"_a, "public_keys"_a, "progress"_a.none())
      .def("load", &load, "path"_a, "name"_a = "")
      .def("verify", &verify, "path"_a)
      .def("close", &close_guard);
}

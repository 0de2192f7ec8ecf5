// SPDX-License-Identifier: Apache-2.0
// The verbs and flags of the Python package model-signing, in its two spellings (1.1 writes
// --private_key, later ones --private-key), and those of the public conformance suite's adapter.
#include <CLI/CLI.hpp>
#include <memory>

#include "commands.h"
#include "compat.h"

namespace mlxguard::cli {
namespace {

using Chosen = std::function<void(Action)>;
using Run = Result<int> (*)(Session& session, const CompatOptions& options);
using Shared = std::shared_ptr<CompatOptions>;

/// "--private_key" also as "--private-key".
std::string both(const std::string& name) {
  std::string dashed = name;
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  std::string underscored = "--" + name.substr(2);
  std::replace(underscored.begin() + 2, underscored.end(), '-', '_');
  return dashed == underscored ? dashed : underscored + "," + dashed;
}

/// An option that takes one value; given twice, the last one counts, as in the Python tool.
CLI::Option* one(CLI::App& app, const std::string& name, std::string& value,
                 const std::string& help) {
  return app.add_option(both(name), value, help)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

CLI::Option* many(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                  const std::string& help) {
  return app.add_option(both(name), values, help)->allow_extra_args(false);
}

/// `--name/--no-name`.
void either(CLI::App& app, const std::string& name, bool& value, const std::string& help) {
  std::string names;
  for (char separator : {'_', '-'}) {
    std::string spelled = name;
    std::replace(spelled.begin(), spelled.end(), '-', separator);
    names += "--" + spelled + ",!--no-" + spelled + ",!--no" + separator + spelled + ",";
  }
  // "--no-ignore_unsigned_files" and "--no_ignore_unsigned_files" are both in use.
  names.pop_back();
  app.add_flag(names, value, help)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void define_scope(CLI::App& app, CompatOptions& options) {
  app.add_option("MODEL_PATH", options.model, "folder (or single file) of the model")->required();
  many(app, "--ignore-paths", options.ignore_paths, "a path to leave out; may be repeated");
  either(app, "ignore-git-paths", options.ignore_git_paths,
         "leave out .git, .gitignore, .gitattributes and .github at the top (default)");
  app.add_flag(both("--allow_symlinks"), options.allow_symlinks,
               "follow symbolic links that stay inside the model");
}

void define_hashing(CLI::App& app, CompatOptions& options) {
  one(app, "--hash_algorithm", options.hash,
      "sha256 (default), blake2b or blake3; not in the Python tool");
  app.add_option(both("--shard_size"), options.shard_size,
                 "sign shards of this many bytes instead of files; not in the Python tool")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

/// Flags of the keyless method, which is not offered: its command line is understood, and then
/// refused.
void define_keyless(CLI::App& app) {
  for (const char* name : {"--trust_config", "--identity_token", "--client_id", "--client_secret",
                           "--identity", "--identity_provider"}) {
    app.add_option(both(name), [](const CLI::results_t&) { return true; }, "not offered");
  }
  for (const char* name : {"--use_staging", "--use_ambient_credentials", "--oauth_force_oob"}) {
    app.add_flag_callback(both(name), [] {}, "not offered");
  }
}

struct Method {
  const char* name;
  CompatMethod method;
  const char* meaning;
};

constexpr Method kSignMethods[] = {
    {"key", CompatMethod::kKey, "sign with a private key"},
    {"certificate", CompatMethod::kCertificate, "sign with a certificate's private key"},
    {"pkcs11-key", CompatMethod::kPkcs11Key, "sign with a key on a PKCS#11 token"},
    {"pkcs11-certificate", CompatMethod::kPkcs11Certificate,
     "sign with a certificate whose key is on a PKCS#11 token"},
    {"sigstore", CompatMethod::kSigstore, "keyless; not offered"},
};
constexpr Method kVerifyMethods[] = {
    {"key", CompatMethod::kKey, "verify with a public key"},
    {"certificate", CompatMethod::kCertificate, "verify a signature made with a certificate"},
    {"sigstore", CompatMethod::kSigstore, "keyless; not offered"},
};

void choose(CLI::App& app, const Chosen& chosen, const Shared& options, Run run) {
  app.callback([=] { chosen([=](Session& session) { return run(session, *options); }); });
}

void define_sign_method(CLI::App& app, const Method& method, const Chosen& chosen) {
  const auto options = std::make_shared<CompatOptions>();
  options->method = method.method;
  options->signature = "model.sig";
  define_scope(app, *options);
  one(app, "--signature", options->signature, "file to write (default: model.sig)");
  const bool certificate = method.method == CompatMethod::kCertificate ||
                           method.method == CompatMethod::kPkcs11Certificate;
  if (method.method == CompatMethod::kKey || method.method == CompatMethod::kCertificate) {
    one(app, "--private_key", options->private_key, "PEM file of the private key")->required();
    one(app, "--password", options->password,
        "of the key; readable by other processes, prefer --passphrase-file");
  } else if (method.method != CompatMethod::kSigstore) {
    one(app, "--pkcs11_uri", options->pkcs11_uri, "PKCS#11 URI of the private key")->required();
  }
  if (certificate) {
    one(app, "--signing_certificate", options->signing_certificate, "PEM file of the certificate")
        ->required();
    many(app, "--certificate_chain", options->certificate_chain,
         "PEM file of its issuers; may be repeated");
  }
  if (method.method == CompatMethod::kSigstore) {
    define_keyless(app);
  } else {
    define_hashing(app, *options);
    Arguments arguments(app);
    options->passphrase.define(arguments);
  }
  choose(app, chosen, options, compat_sign);
}

void define_verify_method(CLI::App& app, const Method& method, const Chosen& chosen) {
  const auto options = std::make_shared<CompatOptions>();
  options->method = method.method;
  define_scope(app, *options);
  one(app, "--signature", options->signature, "the signature file to verify")->required();
  either(app, "ignore-unsigned-files", options->ignore_unsigned_files,
         "tolerate files that were not signed");
  if (method.method == CompatMethod::kKey) {
    one(app, "--public_key", options->public_key, "PEM file of the public key")->required();
  } else if (method.method == CompatMethod::kCertificate) {
    many(app, "--certificate_chain", options->certificate_chain,
         "PEM file of trusted authorities; may be repeated");
    many(app, "--crl", options->crls,
         "PEM file of a revocation list; with any, every issuer needs one; not in the Python tool");
    one(app, "--certificate_identity", options->identity,
        "what the certificate has to name (email, URI or DNS name); not in the Python tool");
    app.add_flag(both("--log_fingerprints"), options->log_fingerprints,
                 "write the SHA-256 fingerprints of all certificates to standard error");
  } else {
    define_keyless(app);
  }
  choose(app, chosen, options, compat_verify);
}

template <std::size_t Count, class DefineMethod>
void define_methods(CLI::App& verb, const Method (&methods)[Count], Run run,
                    const DefineMethod& define_method, const Chosen& chosen) {
  for (const Method& method : methods) {
    define_method(*verb.add_subcommand(method.name, method.meaning), method, chosen);
  }
  verb.require_subcommand(0, 1);
  verb.allow_extras();
  // Without a method the Python tool takes "sigstore".
  const auto keyless = std::make_shared<CompatOptions>();
  keyless->method = CompatMethod::kSigstore;
  const CLI::App* self = &verb;
  verb.callback([=] {
    if (!self->get_subcommands().empty()) return;
    if (self->remaining_size() == 0) throw CLI::RequiredError("a method and MODEL_PATH");
    chosen([=](Session& session) { return run(session, *keyless); });
  });
}

void define_model_signing(CLI::App& app, const Chosen& chosen) {
  CLI::App* tool =
      app.add_subcommand("model-signing", "in the place of the Python command model_signing");
  tool->alias("model_signing");
  tool->require_subcommand(1);
  tool->set_version_flag("--version",
                         "model_signing, version 1.1.1 (mlxguard " MLXGUARD_VERSION ")");
  tool->add_option_function<std::string>(
          both("--log-level"), [](const std::string&) {}, "understood; there is nothing to set")
      ->check(CLI::IsMember({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}, CLI::ignore_case));
  define_methods(*tool->add_subcommand("sign", "sign a model"), kSignMethods, compat_sign,
                 define_sign_method, chosen);
  define_methods(*tool->add_subcommand("verify", "verify a model"), kVerifyMethods, compat_verify,
                 define_verify_method, chosen);
  CLI::App* digest = tool->add_subcommand("digest", "the root digest of a model");
  const auto options = std::make_shared<CompatOptions>();
  define_scope(*digest, *options);
  define_hashing(*digest, *options);
  choose(*digest, chosen, options, compat_digest);
}

/// `--method` of the conformance suite.
void method_option(CLI::App& app, CompatOptions& options) {
  app.add_option_function<std::string>(
         "--method",
         [&options](const std::string& name) {
           options.method = name == "key"           ? CompatMethod::kKey
                            : name == "certificate" ? CompatMethod::kCertificate
                                                    : CompatMethod::kSigstore;
         },
         "key, certificate or sigstore")
      ->required()
      ->check(CLI::IsMember({"key", "certificate", "sigstore"}));
}

void define_conformance(CLI::App& app, const Chosen& chosen) {
  CLI::App* suite =
      app.add_subcommand("conformance", "the adapter of the public conformance suite");
  suite->require_subcommand(1);
  for (const bool signs : {true, false}) {
    CLI::App* verb = suite->add_subcommand(signs ? "sign-model" : "verify-model",
                                           signs ? "sign a model" : "verify a model");
    const auto options = std::make_shared<CompatOptions>();
    method_option(*verb, *options);
    one(*verb, "--model-path", options->model, "the model")->required();
    one(*verb, signs ? "--output-bundle" : "--bundle", options->signature, "the signature")
        ->required();
    one(*verb, signs ? "--private-key" : "--public-key",
        signs ? options->private_key : options->public_key, "PEM file of the key");
    many(*verb, "--cert-chain", options->certificate_chain, "PEM file; may be repeated");
    many(*verb, "--ignore-paths", options->ignore_paths, "a path to leave out; may be repeated");
    if (signs) {
      one(*verb, "--signing-cert", options->signing_certificate, "PEM file of the certificate");
      define_hashing(*verb, *options);
    } else {
      either(*verb, "ignore-unsigned-files", options->ignore_unsigned_files,
             "tolerate unsigned files");
    }
    define_keyless(*verb);
    choose(*verb, chosen, options, signs ? compat_sign : compat_verify);
  }
}

}  // namespace

void define_compat(Arguments& arguments, const Chosen& chosen) {
  CLI::App& app = arguments.native();  // aliases and leftovers, as the Python tool has them
  app.require_subcommand(1);
  define_model_signing(app, chosen);
  define_conformance(app, chosen);
}

}  // namespace mlxguard::cli

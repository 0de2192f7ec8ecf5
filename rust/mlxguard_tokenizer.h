/* SPDX-License-Identifier: Apache-2.0
 * C interface of the Rust static library mlxguard-rust: tokenizers as Hugging Face writes them.
 * Stands inside the worker, behind verification: the tokenizer file is signed, the text is a
 * client's. It opens no files, reads no environment and starts no threads. A panic aborts the
 * process; the worker then dies and the supervisor answers for it.
 */
#ifndef MLXGUARD_TOKENIZER_H
#define MLXGUARD_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rises when a signature or a meaning below changes; the caller compares. */
#define MLXGUARD_TOKENIZER_ABI 1
uint32_t mlxguard_tokenizer_abi(void);

typedef struct mlxguard_tokenizer mlxguard_tokenizer;

enum mlxguard_tokenizer_status {
  MLXGUARD_TOKENIZER_OK = 0,
  MLXGUARD_TOKENIZER_ARGUMENT = 1, /* a null pointer, or no room for the special tokens */
  MLXGUARD_TOKENIZER_UTF8 = 2,     /* the text is not UTF-8 */
  MLXGUARD_TOKENIZER_REFUSED = 3,  /* the tokenizer refused: see `error` */
};

/* Where errors are written: up to `capacity` bytes of UTF-8, NUL-terminated, cut if longer. */
typedef struct mlxguard_tokenizer_error {
  char* message;
  size_t capacity;
} mlxguard_tokenizer_error;

/* Parses the bytes of a tokenizer.json of at most `size_max` bytes. The file's own truncation and
 * padding are dropped: both belong to the caller. NULL on failure. */
mlxguard_tokenizer* mlxguard_tokenizer_load(const uint8_t* bytes, size_t size, size_t size_max,
                                            mlxguard_tokenizer_error error);
void mlxguard_tokenizer_free(mlxguard_tokenizer* tokenizer);

/* One more than the largest token id that the tokenizer can produce, special tokens included. */
size_t mlxguard_tokenizer_vocabulary_size(const mlxguard_tokenizer* tokenizer);

/* Encodes one text with its special tokens. At most `tokens_max` ids are written to `ids`, which
 * has room for as many; a longer text is cut before the special tokens are added, as Hugging Face
 * does. `count` is what was written; `count_before_truncation` what the whole text would have
 * given. */
enum mlxguard_tokenizer_status mlxguard_tokenizer_encode(const mlxguard_tokenizer* tokenizer,
                                                         const char* text, size_t text_size,
                                                         size_t tokens_max, uint32_t* ids,
                                                         size_t* count,
                                                         size_t* count_before_truncation,
                                                         mlxguard_tokenizer_error error);

#ifdef __cplusplus
}
#endif

#endif /* MLXGUARD_TOKENIZER_H */

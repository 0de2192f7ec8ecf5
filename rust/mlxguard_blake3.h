/* SPDX-License-Identifier: Apache-2.0
 * C interface of the crate blake3 inside mlxguard-rust. Wrapped by src/crypto/digest.h, which is
 * what the rest of the tree uses. Starts no threads: a long input is cut into pieces of a power of
 * two of at least 1024 bytes, hashed in any order on any thread, and joined as the tree of BLAKE3
 * says.
 */
#ifndef MLXGUARD_BLAKE3_H
#define MLXGUARD_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MLXGUARD_BLAKE3_DIGEST_BYTES 32

typedef struct mlxguard_blake3 mlxguard_blake3;

/* `offset`: where in the whole input this piece begins, a multiple of the piece size; 0 for the
 * whole. */
mlxguard_blake3* mlxguard_blake3_new(uint64_t offset);
void mlxguard_blake3_update(mlxguard_blake3* hasher, const uint8_t* bytes, size_t size);
/* The digest of everything, for a hasher that began at 0 and saw the whole input. */
void mlxguard_blake3_digest(const mlxguard_blake3* hasher, uint8_t* out);
/* The inner value of a piece that is not the whole input; at least one byte was hashed. */
void mlxguard_blake3_inner(const mlxguard_blake3* hasher, uint8_t* out);
void mlxguard_blake3_free(mlxguard_blake3* hasher);

/* Two neighbours to their parent; the last join, which gives the digest, is the root's. */
void mlxguard_blake3_join(const uint8_t* left, const uint8_t* right, uint8_t* out);
void mlxguard_blake3_join_root(const uint8_t* left, const uint8_t* right, uint8_t* out);

#ifdef __cplusplus
}
#endif

#endif /* MLXGUARD_BLAKE3_H */

// SPDX-License-Identifier: Apache-2.0
// A PKCS#11 module that does wrong in one way, chosen when it is compiled (-DWRONG_...). It shows
// one token with one P-256 key, the curve's own generator, and knows no private key at all.
#include <p11-kit/pkcs11.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef TOKEN_FLAGS
#define TOKEN_FLAGS (CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED)
#endif

static const unsigned char kParameters[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
static const unsigned char kPoint[] = {
    4,    65,   4,    0x6B, 0x17, 0xD1, 0xF2, 0xE1, 0x2C, 0x42, 0x47, 0xF8, 0xBC, 0xE6,
    0xE5, 0x63, 0xA4, 0x40, 0xF2, 0x77, 0x03, 0x7D, 0x81, 0x2D, 0xEB, 0x33, 0xA0, 0xF4,
    0xA1, 0x39, 0x45, 0xD8, 0x98, 0xC2, 0x96, 0x4F, 0xE3, 0x42, 0xE2, 0xFE, 0x1A, 0x7F,
    0x9B, 0x8E, 0xE7, 0xEB, 0x4A, 0x7C, 0x0F, 0x9E, 0x16, 0x2B, 0xCE, 0x33, 0x57, 0x6B,
    0x31, 0x5E, 0xCE, 0xCB, 0xB6, 0x40, 0x68, 0x37, 0xBF, 0x51, 0xF5};

static CK_RV initialize(void* arguments) {
  (void)arguments;
#ifdef WRONG_HANGS_AT_ONCE
  for (;;) pause();
#endif
#ifdef WRONG_DIES_AT_ONCE
  raise(SIGSEGV);
#endif
#ifdef WRONG_WRITES_ANSWERS
  // Frames that say "done", on every descriptor that it can find but the inherited errors.
  for (int fd = 0; fd < 3; ++fd) (void)!write(fd, "\1\0D\0\1\0D\0", 8);
  puts("a PIN, please");
#endif
  return CKR_OK;
}
static CK_RV finalize(void* reserved) {
  (void)reserved;
#ifdef WRONG_NEVER_ENDS
  for (;;) pause();
#endif
  return CKR_OK;
}
static CK_RV slots(CK_BBOOL present, CK_SLOT_ID* list, CK_ULONG* count) {
  (void)present;
#ifdef WRONG_COUNTS_SLOTS
  *count = ~0ul;
  return CKR_OK;
#endif
  if (list != NULL) list[0] = 7;
  *count = 1;
  return CKR_OK;
}
static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  (void)slot;
  memset(info, ' ', sizeof *info);
  memcpy(info->label, "hostile", 7);
  info->flags = TOKEN_FLAGS;
  return CKR_OK;
}
static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void* application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE* session) {
  (void)slot, (void)flags, (void)application, (void)notify;
  *session = 1;
  return CKR_OK;
}
static CK_RV of_session(CK_SESSION_HANDLE session) {
  (void)session;
  return CKR_OK;
}
static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char* pin,
                   CK_ULONG size) {
  (void)session, (void)user, (void)pin, (void)size;
#ifdef WRONG_DIES_WITH_THE_PIN
  raise(SIGABRT);
#endif
  return CKR_OK;
}
static CK_RV find_start(CK_SESSION_HANDLE session, CK_ATTRIBUTE* wanted, CK_ULONG count) {
  (void)session, (void)wanted, (void)count;
  return CKR_OK;
}
static CK_RV find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE* objects, CK_ULONG size,
                  CK_ULONG* count) {
  (void)session, (void)size;
  objects[0] = 3;
  *count = 1;
#ifdef WRONG_COUNTS_KEYS
  *count = 1000000;
#endif
  return CKR_OK;
}
static CK_RV attribute(CK_ATTRIBUTE* wanted, const unsigned char* value, size_t size) {
#ifdef WRONG_ATTRIBUTE_SIZE
  wanted->ulValueLen = ~0ul - 1;
  return CKR_OK;
#endif
  memcpy(wanted->pValue, value, size);
  wanted->ulValueLen = size;
  return CKR_OK;
}
static CK_RV attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* wanted,
                        CK_ULONG count) {
  (void)session, (void)object, (void)count;
  if (wanted->type == CKA_EC_PARAMS) return attribute(wanted, kParameters, sizeof kParameters);
#ifdef WRONG_POINT
  unsigned char off_the_curve[sizeof kPoint];
  memcpy(off_the_curve, kPoint, sizeof kPoint);
  off_the_curve[sizeof kPoint - 1] ^= 1;
  if (wanted->type == CKA_EC_POINT) return attribute(wanted, off_the_curve, sizeof kPoint);
#endif
  if (wanted->type == CKA_EC_POINT) return attribute(wanted, kPoint, sizeof kPoint);
  return CKR_ATTRIBUTE_TYPE_INVALID;
}
static CK_RV sign_start(CK_SESSION_HANDLE session, CK_MECHANISM* mechanism, CK_OBJECT_HANDLE key) {
  (void)session, (void)mechanism, (void)key;
  return CKR_OK;
}
static CK_RV sign(CK_SESSION_HANDLE session, unsigned char* data, CK_ULONG data_size,
                  unsigned char* signature, CK_ULONG* size) {
  (void)session, (void)data, (void)data_size;
#ifdef WRONG_DIES_SIGNING
  raise(SIGSEGV);
#endif
#ifdef WRONG_HANGS_SIGNING
  for (;;) pause();
#endif
  memset(signature, 0x11, 64);
  *size = 64;
#ifdef WRONG_SHORT_SIGNATURE
  *size = 10;
#endif
#ifdef WRONG_HUGE_SIGNATURE
  *size = 1000000000;
#endif
#ifdef WRONG_ZERO_SIGNATURE
  memset(signature, 0, 64);
#endif
  return CKR_OK;
}

static CK_FUNCTION_LIST functions = {
    .version = {2, 40},
#ifndef WRONG_NO_FUNCTIONS
    .C_Initialize = initialize,
    .C_Finalize = finalize,
    .C_GetSlotList = slots,
    .C_GetTokenInfo = token_info,
    .C_OpenSession = open_session,
    .C_CloseSession = of_session,
    .C_Login = login,
    .C_Logout = of_session,
    .C_FindObjectsInit = find_start,
    .C_FindObjects = find,
    .C_FindObjectsFinal = of_session,
    .C_GetAttributeValue = attributes,
    .C_SignInit = sign_start,
    .C_Sign = sign,
#endif
};

CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
#ifdef WRONG_FUNCTION_LIST
  *list = NULL;
  return CKR_OK;
#endif
  *list = &functions;
  return CKR_OK;
}

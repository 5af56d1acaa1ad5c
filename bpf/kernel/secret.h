/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* What secrets.bpf.c and src/tls_probes share. Both sides assert the sizes and offsets. */
#ifndef PODMIRROR_SECRET_H
#define PODMIRROR_SECRET_H

#define LABEL_BYTES 32   /* the longest label, CLIENT_HANDSHAKE_TRAFFIC_SECRET, and its NUL */
#define RANDOM_BYTES 32  /* RFC 8446 section 4.1.2 */
#define SECRET_BYTES 64  /* a hash of at most 512 bits; TLS 1.2's master secret has 48 bytes */

/* secret.form: where the arguments of the probed function stand; library::keylog names the same. */
enum secret_form {
	SF_INNER,                /* (label, ssl, client random, 32, secret, length) */
	SF_LOG,                  /* (ssl, label, secret, length); the client random in ssl or in what it points to */
	SF_GO,                   /* crypto/tls.(*Config).writeKeyLog(label, clientRandom, secret), in Go's registers */
};

/* One value of the queue `secrets`: what a TLS library handed to its key log. */
struct secret {
	__u64 target;            /* as record.target */
	__u64 ssl;               /* the library's handle of the connection; Go: of its configuration */
	__u64 ktime_ns;
	__u64 ip;                /* of the probed instruction: tells which file's probe it was */
	__u64 label_at;          /* for a label whose page was not in memory: user space reads it from the file */
	__u32 tgid;
	__u8 form;
	__u8 label_len;          /* 0: not read */
	__u8 random_len;         /* 0: the site does not know it */
	__u8 secret_len;
	__u8 label[LABEL_BYTES];
	__u8 random[RANDOM_BYTES];
	__u8 bytes[SECRET_BYTES];
};
_Static_assert(sizeof(struct secret) == 176, "src/tls_probes/secret.rs reads this layout");
_Static_assert(__builtin_offsetof(struct secret, tgid) == 40, "src/tls_probes/secret.rs");
_Static_assert(__builtin_offsetof(struct secret, label) == 48, "src/tls_probes/secret.rs");
_Static_assert(__builtin_offsetof(struct secret, bytes) == 112, "src/tls_probes/secret.rs");

/* One value of the queue `execs`: a process of a target runs another program now. */
struct exec {
	__u64 target;
	__u32 tgid;
	__u32 pad0;
};
_Static_assert(sizeof(struct exec) == 16, "src/tls_probes/secret.rs reads this layout");

/* Index of tally.of; src/tls_probes/tally.rs names them in this order. */
enum secret_count {
	S_PUSHED,                /* there is something to pop, if it changed */
	S_EXECS,
	/* lost */
	S_FULL,                  /* a secret found the queue full */
	S_NO_SECRET,             /* its page could not be read */
	S_NO_RANDOM,             /* likewise the client random */
	S_EXECS_FULL,
	/* not lost */
	S_NO_LABEL,              /* pushed without its label */
	S_UNWANTED,              /* not a secret of a connection: an RSA exchange, an odd length */
	S_REPEATED,              /* the same call by the same file's second probe */
	/* What others than targets cause, on a cache line of its own. */
	S_OTHERS = 16,
	S_COUNTS = 24,
};
struct tally {
	__u64 of[S_COUNTS];
};
_Static_assert(sizeof(struct tally) == 192, "src/tls_probes/tally.rs reads this layout");

/* The map `.rodata.options`: set before the programs are loaded. */
struct secret_options {
	/* Where SF_LOG finds the client random: at ssl + first, or, if `deref`, at *(ssl + first) + second. */
	__u32 known;
	__u32 deref;
	__u32 first;
	__u32 second;
};
_Static_assert(sizeof(struct secret_options) == 16, "src/tls_probes/programs.rs writes this layout");

#endif

// Programs of the TLS tests; the standard library is all they need. Go 1.19 is what Debian 12 has.
module podmirror.test/tls

go 1.19

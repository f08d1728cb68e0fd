package ec2

import "testing"

func FuzzPublicKey(f *testing.F) {
	for _, seed := range []string{
		"", "ssh-rsa AAAA", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl c",
		"---- BEGIN SSH2 PUBLIC KEY ----\nx: y\nAAAA\n---- END SSH2 PUBLIC KEY ----", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, material []byte) {
		k, ok := readPublicKey(material)
		if !ok {
			return
		}
		if again, ok := readPublicKey([]byte(k.line)); !ok || again.fingerprint != k.fingerprint || again.typ != k.typ {
			t.Errorf("%q is read as %+v, and that as %+v", material, k, again)
		}
	})
}

func FuzzLike(f *testing.F) {
	f.Add("a*b?c\\*", "aXXbYc*")
	f.Add("\\", "\\")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		_ = like(pattern, s) // ends, and does not panic
		if !like("*", s) {
			t.Errorf("* does not match %q", s)
		}
	})
}

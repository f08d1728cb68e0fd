package identity

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/batchbox/batchbox/internal/awswire"
	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/store"
	"github.com/batchbox/batchbox/internal/store/memory"
)

const account = "111122223333"

func TestIDs(t *testing.T) {
	t.Parallel()
	for _, account := range []string{"000000000000", "111122223333", "999999999999"} {
		id, err := NewID(strings.NewReader("0123456789"), prefixSession, account)
		if err != nil {
			t.Fatal(err)
		}
		if len(id) != 20 || !strings.HasPrefix(id, "ASIA") || strings.ToUpper(id) != id {
			t.Errorf("id %q", id)
		}
		if got, ok := AccountOf(id); !ok || got != account {
			t.Errorf("AccountOf(%s) = %s, %t", id, got, ok)
		}
	}
	for key, want := range map[string]string{
		"111122223333": "111122223333",
		// Published with its account: https://medium.com/@TalBeerySec/a-short-note-on-aws-key-id-f88cc4317489
		"ASIAQNZGKIQY56JQ7WML": "029608264753",
		"AKIAIOSFODNN7EXAMPLE": "581039954779",
		"AROAIOSFODNN7EXAMPLE": "", "ASIA": "", "ASIAx": "", "": "", "test": "", "11112222333": "",
	} {
		if got, ok := AccountOf(key); got != want || ok != (want != "") {
			t.Errorf("AccountOf(%q) = %q, %t, want %q", key, got, ok, want)
		}
	}
	if _, err := NewID(strings.NewReader("0123456789"), "X", "me"); err == nil {
		t.Error("an id was made for no account")
	}
	if _, err := NewID(strings.NewReader("0"), "X", account); err == nil {
		t.Error("an id was made of too little")
	}
}

func TestARNs(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{"eu-west-1": "arn:aws:", "cn-north-1": "arn:aws-cn:", "us-gov-west-1": "arn:aws-us-gov:"} {
		if got := RootARN(batch.Partition{Account: account, Region: region}); got != want+"iam::"+account+":root" {
			t.Errorf("RootARN in %s = %s", region, got)
		}
	}
	for arn, want := range map[string][3]string{
		"arn:aws:iam::111122223333:role/name":      {account, "/", "name"},
		"arn:aws-cn:iam::111122223333:role/a/b/nm": {account, "/a/b/", "nm"},
		"arn:aws:iam::111122223333:role/":          {}, "arn:aws:iam::111122223333:user/x": {}, "arn:aws:iam:eu-west-1:111122223333:role/x": {},
		"arn:aws:iam::1:role/x": {}, "role/x": {}, "": {}, "arn:aws:sts::111122223333:role/x": {},
	} {
		account, path, name, ok := SplitRoleARN(arn)
		if ok != (want[0] != "") || ok && [3]string{account, path, name} != want {
			t.Errorf("SplitRoleARN(%q) = %q, %q, %q, %t", arn, account, path, name, ok)
		}
	}
}

// clock is a clock that a test sets.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func TestSessions(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := &clock{time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	s := NewSessions(memory.New(), c.now)
	given := Session{Account: account, ARN: "arn:x", UserID: "id", RoleARN: "arn:r", SourceIdentity: "me"}
	first, err := s.Issue(ctx, given, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if first.ARN != "arn:x" || first.UserID != "id" || first.RoleARN != "arn:r" || first.SourceIdentity != "me" || !first.ExpiresAt().Equal(c.t.Add(time.Hour)) ||
		len(first.SecretAccessKey) != 40 || len(first.Token) < 100 {
		t.Errorf("issued %+v", first)
	}
	second, err := s.Issue(ctx, given, 2*time.Hour)
	if err != nil || second.AccessKeyID == first.AccessKeyID || second.SecretAccessKey == first.SecretAccessKey || second.Token == first.Token {
		t.Fatalf("issued %+v, %v", second, err)
	}
	lookup := func(key, token string) error {
		t.Helper()
		cred, err := s.Lookup(ctx, key, token)
		if err == nil && (cred.Account != account || cred.SecretAccessKey == "") {
			t.Errorf("Lookup = %+v", cred)
		}
		return err
	}
	if err := lookup(first.AccessKeyID, first.Token); err != nil {
		t.Error(err)
	}
	for _, wrong := range [][2]string{{first.AccessKeyID, second.Token}, {first.AccessKeyID, ""}, {"ASIAXXXXXXXXXXXXXXXX", first.Token}, {account, ""}, {"", ""}} {
		if err := lookup(wrong[0], wrong[1]); !errors.Is(err, awswire.ErrUnknownKey) {
			t.Errorf("Lookup(%v) returned %v", wrong, err)
		}
	}
	c.t = c.t.Add(time.Hour)
	if err := lookup(first.AccessKeyID, first.Token); !errors.Is(err, awswire.ErrExpiredToken) {
		t.Errorf("Lookup at the end returned %v", err)
	}
	if err := lookup(second.AccessKeyID, second.Token); err != nil {
		t.Error(err)
	}
	if _, ok, err := s.Find(ctx, first.AccessKeyID); !ok || err != nil {
		t.Errorf("Find of an expired session = %t, %v", ok, err)
	}
	// A day after its end a session is forgotten, by the way of another.
	c.t = c.t.Add(remembered + time.Minute)
	if _, err := s.Issue(ctx, given, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Find(ctx, first.AccessKeyID); ok || err != nil {
		t.Errorf("Find of a forgotten session = %t, %v", ok, err)
	}
	if _, ok, err := s.Find(ctx, second.AccessKeyID); !ok || err != nil {
		t.Errorf("Find of a session that ended later = %t, %v", ok, err)
	}
}

func TestIssueForRole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	docs := memory.New()
	s := NewSessions(docs, nil)
	if err := docs.Update(ctx, func(w store.Writer) error {
		return errors.Join(
			PutRole(w, account, &Role{Name: "Job", Path: "/app/", ID: "AROAJOB", Trust: ServiceTrust("ecs-tasks.amazonaws.com")}),
			PutRole(w, account, &Role{Name: "Other", Path: "/", ID: "AROAOTHER", Trust: ServiceTrust("ec2.amazonaws.com")}),
		)
	}); err != nil {
		t.Fatal(err)
	}
	p := batch.Partition{Account: "000000000000", Region: "eu-west-1"}
	got, err := s.IssueForRole(ctx, p, "arn:aws:iam::111122223333:role/app/Job", "task", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got.ARN != "arn:aws:sts::111122223333:assumed-role/Job/task" || got.UserID != "AROAJOB:task" || got.Account != account {
		t.Errorf("issued %+v", got)
	}
	var untrusted *UntrustedError
	if got, err := s.IssueForRole(ctx, p, "arn:aws:iam::111122223333:role/Other", "task", time.Hour); !errors.As(err, &untrusted) {
		t.Errorf("for a role of another service: %+v, %v", got, err)
	}
	// A role that nobody made has an id all the same, and always the same one.
	var ids []string
	for range 2 {
		got, err := s.IssueForRole(ctx, p, "arn:aws:iam::111122223333:role/unknown", "task", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got.UserID)
	}
	if ids[0] != ids[1] || !strings.HasPrefix(ids[0], "AROA") || !strings.HasSuffix(ids[0], ":task") {
		t.Errorf("user ids %v", ids)
	}
	if _, err := s.IssueForRole(ctx, p, "job-role", "task", time.Hour); err == nil {
		t.Error("credentials were issued for no ARN")
	}
}

// TestInitialRole: the service-linked role of Batch is there without being made, once deleted gone, and can come back.
func TestInitialRole(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	docs := memory.New()
	names := func() (list []string) {
		t.Helper()
		if err := docs.View(ctx, func(r store.Reader) error {
			return ListRoles(r, account, func(r *Role) error { list = append(list, r.Name); return nil })
		}); err != nil {
			t.Fatal(err)
		}
		return list
	}
	find := func(name string) (role *Role, ok bool) {
		t.Helper()
		if err := docs.View(ctx, func(r store.Reader) (err error) {
			role, ok, err = FindRole(r, account, name)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return role, ok
	}
	update := func(fn func(w store.Writer) error) {
		t.Helper()
		if err := docs.Update(ctx, fn); err != nil {
			t.Fatal(err)
		}
	}
	role, ok := find(batchServiceRole)
	if !ok || role.ARN(batch.Partition{Account: account, Region: "eu-west-1"}) != "arn:aws:iam::111122223333:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch" {
		t.Fatalf("found %+v, %t", role, ok)
	}
	if _, err := ParsePolicy(TrustPolicy, role.Trust); err != nil {
		t.Error(err)
	}
	if again, _ := find(batchServiceRole); again.ID != role.ID {
		t.Errorf("its id is %s, then %s", role.ID, again.ID)
	}
	if _, ok := find("awsserviceroleforbatch"); ok {
		t.Error("it is found in another case")
	}
	for _, name := range []string{"aaa", "zzz"} {
		update(func(w store.Writer) error { return PutRole(w, account, &Role{Name: name}) })
	}
	if got := strings.Join(names(), " "); got != "aaa AWSServiceRoleForBatch zzz" {
		t.Errorf("roles %s", got)
	}
	update(func(w store.Writer) error { return DeleteRole(w, account, batchServiceRole) })
	if _, ok := find(batchServiceRole); ok || strings.Join(names(), " ") != "aaa zzz" {
		t.Errorf("after deleting it there are %v", names())
	}
	update(func(w store.Writer) error {
		taken, err := RoleNameTaken(w, account, batchServiceRole)
		if taken || err != nil {
			t.Errorf("its name is taken: %t, %v", taken, err)
		}
		return PutRole(w, account, &Role{Name: batchServiceRole, ID: "new"})
	})
	if role, ok := find(batchServiceRole); !ok || role.ID != "new" || strings.Join(names(), " ") != "aaa AWSServiceRoleForBatch zzz" {
		t.Errorf("made again: %+v, %v", role, names())
	}
}

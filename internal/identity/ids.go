package identity

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
)

// The prefixes of unique ids
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids).
const (
	prefixSession         = "ASIA"
	PrefixRole            = "AROA"
	PrefixInstanceProfile = "AIPA"
	PrefixPolicy          = "ANPA"
)

var idEncoding = base32.StdEncoding

// NewID makes a unique id of an account's: a prefix and sixteen characters. As on AWS the account stands in it (forty bits
// from the second on, as sts:GetAccessKeyInfo reads them out; the form is not documented), so that it can be told without
// looking anything up. random gives the rest.
func NewID(random io.Reader, prefix, account string) (string, error) {
	n, err := strconv.ParseUint(account, 10, 40)
	if err != nil {
		return "", fmt.Errorf("account %q is not twelve digits: %w", account, err)
	}
	var b [10]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	head := uint64(b[5] & 0x7f)
	head |= n<<7 | 1<<47
	var full [8]byte
	binary.BigEndian.PutUint64(full[:], head)
	copy(b[:6], full[2:])
	return prefix + idEncoding.EncodeToString(b[:]), nil
}

// AccountOf reads the account out of an access key id: the twelve digits that are one by themselves here, or those in a
// key made by NewID or by AWS.
func AccountOf(accessKeyID string) (string, bool) {
	if accountRE.MatchString(accessKeyID) {
		return accessKeyID, true
	}
	rest, ok := strings.CutPrefix(accessKeyID, prefixSession)
	if !ok {
		if rest, ok = strings.CutPrefix(accessKeyID, "AKIA"); !ok {
			return "", false
		}
	}
	b, err := idEncoding.DecodeString(rest)
	if err != nil || len(b) != 10 {
		return "", false
	}
	var full [8]byte
	copy(full[2:], b[:6])
	n := binary.BigEndian.Uint64(full[:]) & (1<<47 - 1) >> 7
	account := fmt.Sprintf("%012d", n)
	return account, len(account) == 12
}

// ARN is the ARN of a resource of a service that has no regions ("iam", "sts"): the region only tells the partition, as
// the first word of ARNs in China differs.
func ARN(p batch.Partition, service, resource string) string {
	partition := strings.Split(p.RoleARN(""), ":")[1]
	return "arn:" + partition + ":" + service + "::" + p.Account + ":" + resource
}

// RootARN is the ARN of an account itself.
func RootARN(p batch.Partition) string { return ARN(p, "iam", "root") }

// SplitRoleARN takes a role's ARN apart.
func SplitRoleARN(arn string) (account, path, name string, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || parts[3] != "" || !accountRE.MatchString(parts[4]) {
		return "", "", "", false
	}
	rest, ok := strings.CutPrefix(parts[5], "role/")
	i := strings.LastIndexByte(rest, '/')
	return parts[4], "/" + rest[:i+1], rest[i+1:], ok && rest[i+1:] != ""
}

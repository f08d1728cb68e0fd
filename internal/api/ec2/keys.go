package ec2

import (
	"context"
	"slices"
	"strings"

	"github.com/batchbox/batchbox/internal/awswire"
)

func (a *api) keyOperations() []awswire.Operation {
	return []awswire.Operation{
		awswire.Op("CreateKeyPair", a.createKey), change(a, "ImportKeyPair", importKey), change(a, "DeleteKeyPair", deleteKey), view(a, "DescribeKeyPairs", describeKeys),
	}
}

// keyPair is the public half of a key pair; the private one is shown once, when it is made. Its JSON is how the store
// keeps it.
type keyPair struct {
	base
	Name        string `json:"name"`
	Type        string `json:"type"` // "rsa" or "ed25519"
	Fingerprint string `json:"fingerprint"`
	PublicKey   string `json:"publicKey"` // as OpenSSH has it
	CreatedAt   int64  `json:"createdAt"` // ms
}

// KeyPairInfo is a key pair as it is shown.
type KeyPairInfo struct {
	CreateTime     *string
	KeyFingerprint *string
	KeyName        *string
	KeyPairId      *string
	KeyType        *string
	PublicKey      *string
	Tags           []Tag `awswire:"tagSet"`
}

var keyLook = look[KeyPairInfo]{
	filters: map[string]func(*KeyPairInfo) []string{
		"key-pair-id": func(k *KeyPairInfo) []string { return one(k.KeyPairId) },
		"fingerprint": func(k *KeyPairInfo) []string { return one(k.KeyFingerprint) },
		"key-name":    func(k *KeyPairInfo) []string { return one(k.KeyName) },
	},
	tags: func(k *KeyPairInfo) []Tag { return k.Tags },
	key:  func(k *KeyPairInfo) string { return *k.KeyPairId },
}

// newKey makes the record of a key pair with a name that is free.
func (t *tx) newKey(name *string, specs []TagSpecification) (*keyPair, error) {
	if str(name) == "" {
		return nil, missing("KeyName")
	}
	if len(*name) > 255 || strings.ContainsFunc(*name, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, invalid("Value (%s) for parameter KeyName is invalid. It must be up to 255 ASCII characters.", *name) // unverified text
	}
	keys, err := all[keyPair](t, &kindKey)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(keys, func(k *keyPair) bool { return k.Name == *name }) {
		return nil, refuse("InvalidKeyPair.Duplicate", "The keypair already exists")
	}
	tags, err := specified(specs, kindKey.typ)
	if err != nil {
		return nil, err
	}
	id, err := t.newID(kindKey.prefix)
	return &keyPair{base: base{id, tags}, Name: *name, CreatedAt: t.a.now().UnixMilli()}, err
}

type createKeyInput struct {
	DryRun            *bool
	KeyFormat         *string
	KeyName           *string
	KeyType           *string
	TagSpecifications []TagSpecification `ec2:"TagSpecification"`
}

type keyOutput struct {
	KeyFingerprint *string
	KeyMaterial    *string
	KeyName        *string
	KeyPairId      *string
	Tags           []Tag `awswire:"tagSet"`
}

// createKey makes a key pair before it takes the store: an RSA key is a matter of a hundred milliseconds.
func (a *api) createKey(ctx context.Context, c *awswire.Call, in *createKeyInput) (*keyOutput, error) {
	if in.KeyFormat != nil && *in.KeyFormat != "pem" {
		return nil, unsupported("batchbox writes private keys as PEM only.")
	}
	typ, generate := "rsa", makeRSA
	switch str(in.KeyType) {
	case "", "rsa":
	case "ed25519":
		typ, generate = "ed25519", makeEd25519
	default:
		return nil, invalid("Value (%s) for parameter KeyType is invalid.", *in.KeyType)
	}
	made, err := generate(a.random, str(in.KeyName))
	if err != nil {
		return nil, err
	}
	return update(ctx, a, c, in, func(t *tx, in *createKeyInput) (*keyOutput, error) {
		k, err := t.newKey(in.KeyName, in.TagSpecifications)
		if err != nil {
			return nil, err
		}
		k.Type, k.Fingerprint, k.PublicKey = typ, made.fingerprint, made.public
		return &keyOutput{KeyFingerprint: ptr(k.Fingerprint), KeyMaterial: ptr(made.private), KeyName: ptr(k.Name), KeyPairId: ptr(k.ID), Tags: k.Tags}, t.put(&kindKey, k)
	})
}

type importKeyInput struct {
	DryRun            *bool
	KeyName           *string
	PublicKeyMaterial []byte
	TagSpecifications []TagSpecification `ec2:"TagSpecification"`
}

func importKey(t *tx, in *importKeyInput) (*keyOutput, error) {
	k, err := t.newKey(in.KeyName, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	if in.PublicKeyMaterial == nil {
		return nil, missing("PublicKeyMaterial")
	}
	read, ok := readPublicKey(in.PublicKeyMaterial)
	if !ok {
		return nil, refuse("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
	}
	k.Type, k.Fingerprint, k.PublicKey = read.typ, read.fingerprint, read.line
	return &keyOutput{KeyFingerprint: ptr(k.Fingerprint), KeyName: ptr(k.Name), KeyPairId: ptr(k.ID), Tags: k.Tags}, t.put(&kindKey, k)
}

type keyInput struct {
	DryRun    *bool
	KeyName   *string
	KeyPairId *string
}

type deleteKeyOutput struct {
	KeyPairId *string
	Return    *bool
}

// deleteKey removes a key pair; that there is none of the name is no error.
func deleteKey(t *tx, in *keyInput) (*deleteKeyOutput, error) {
	if in.KeyName == nil && in.KeyPairId == nil {
		return nil, missing("KeyName")
	}
	keys, err := all[keyPair](t, &kindKey)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if in.KeyName != nil && k.Name == *in.KeyName || in.KeyName == nil && k.ID == *in.KeyPairId {
			return &deleteKeyOutput{KeyPairId: ptr(k.ID), Return: ptr(true)}, t.delete(&kindKey, k)
		}
	}
	return &deleteKeyOutput{Return: ptr(true)}, nil
}

type describeKeysInput struct {
	DryRun           *bool
	Filters          []Filter `ec2:"Filter"`
	IncludePublicKey *bool
	KeyNames         []string `ec2:"KeyName"`
	KeyPairIds       []string `ec2:"KeyPairId"`
}

type describeKeysOutput struct {
	KeyPairs []KeyPairInfo `awswire:"keySet"`
}

func describeKeys(t *tx, in *describeKeysInput) (*describeKeysOutput, error) {
	keys, err := all[keyPair](t, &kindKey)
	if err != nil {
		return nil, err
	}
	var list []KeyPairInfo
	for _, k := range keys {
		out := KeyPairInfo{
			CreateTime: ptr(timeOf(k.CreatedAt).Format("2006-01-02T15:04:05.000Z")), KeyFingerprint: ptr(k.Fingerprint), KeyName: ptr(k.Name), KeyPairId: ptr(k.ID),
			KeyType: ptr(k.Type), Tags: k.Tags,
		}
		if in.IncludePublicKey != nil && *in.IncludePublicKey {
			out.PublicKey = ptr(k.PublicKey)
		}
		list = append(list, out)
	}
	for _, name := range in.KeyNames {
		if !slices.ContainsFunc(list, func(k KeyPairInfo) bool { return *k.KeyName == name }) {
			return nil, kindKey.unknown(name)
		}
	}
	if len(in.KeyNames) > 0 {
		list = slices.DeleteFunc(list, func(k KeyPairInfo) bool { return !slices.Contains(in.KeyNames, *k.KeyName) })
	}
	if list, err = pick(list, in.KeyPairIds, &kindKey, keyLook.key); err != nil {
		return nil, err
	}
	list, _, err = keyLook.choose(list, query{filters: in.Filters})
	return &describeKeysOutput{KeyPairs: list}, err
}

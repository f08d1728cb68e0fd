package ec2

import "time"

// The members of a launch template, in requests and in replies, by the SDK's wire names. They are kept and shown as they
// are: no instance is ever started from them.

// TemplateData is what instances of a launch template are like.
type TemplateData struct {
	BlockDeviceMappings               []BlockDeviceMapping              `awswire:"blockDeviceMappingSet" ec2:"BlockDeviceMapping" json:",omitempty"`
	CapacityReservationSpecification  *CapacityReservationSpecification `json:",omitempty"`
	CpuOptions                        *CPUOptions                       `json:",omitempty"`
	CreditSpecification               *CreditSpecification              `json:",omitempty"`
	DisableApiStop                    *bool                             `json:",omitempty"`
	DisableApiTermination             *bool                             `json:",omitempty"`
	EbsOptimized                      *bool                             `json:",omitempty"`
	ElasticGpuSpecifications          []ElasticGPU                      `awswire:"elasticGpuSpecificationSet" ec2:"ElasticGpuSpecification" json:",omitempty"`
	ElasticInferenceAccelerators      []InferenceAccelerator            `awswire:"elasticInferenceAcceleratorSet" ec2:"ElasticInferenceAccelerator" json:",omitempty"`
	EnclaveOptions                    *EnclaveOptions                   `json:",omitempty"`
	HibernationOptions                *HibernationOptions               `json:",omitempty"`
	IamInstanceProfile                *InstanceProfileSpecification     `json:",omitempty"`
	ImageId                           *string                           `json:",omitempty"`
	InstanceInitiatedShutdownBehavior *string                           `json:",omitempty"`
	InstanceMarketOptions             *MarketOptions                    `json:",omitempty"`
	InstanceRequirements              *InstanceRequirements             `json:",omitempty"`
	InstanceType                      *string                           `json:",omitempty"`
	KernelId                          *string                           `json:",omitempty"`
	KeyName                           *string                           `json:",omitempty"`
	LicenseSpecifications             []LicenseSpecification            `awswire:"licenseSet" ec2:"LicenseSpecification" json:",omitempty"`
	MaintenanceOptions                *MaintenanceOptions               `json:",omitempty"`
	MetadataOptions                   *MetadataOptions                  `json:",omitempty"`
	Monitoring                        *Monitoring                       `json:",omitempty"`
	NetworkInterfaces                 []InterfaceSpecification          `awswire:"networkInterfaceSet" ec2:"NetworkInterface" json:",omitempty"`
	NetworkPerformanceOptions         *NetworkPerformance               `json:",omitempty"`
	Placement                         *Placement                        `json:",omitempty"`
	PrivateDnsNameOptions             *DNSNameOptions                   `json:",omitempty"`
	RamDiskId                         *string                           `json:",omitempty"`
	SecurityGroupIds                  []string                          `awswire:"securityGroupIdSet" ec2:"SecurityGroupId" json:",omitempty"`
	SecurityGroups                    []string                          `awswire:"securityGroupSet" ec2:"SecurityGroup" json:",omitempty"`
	TagSpecifications                 []TemplateTags                    `awswire:"tagSpecificationSet" ec2:"TagSpecification" json:",omitempty"`
	UserData                          *string                           `json:",omitempty"`
}

// BlockDeviceMapping is a volume.
type BlockDeviceMapping struct {
	DeviceName  *string         `json:",omitempty"`
	Ebs         *EBSBlockDevice `json:",omitempty"`
	NoDevice    *string         `json:",omitempty"`
	VirtualName *string         `json:",omitempty"`
}

// EBSBlockDevice is a volume of EBS.
type EBSBlockDevice struct {
	DeleteOnTermination      *bool   `json:",omitempty"`
	EbsCardIndex             *int32  `json:",omitempty"`
	Encrypted                *bool   `json:",omitempty"`
	Iops                     *int32  `json:",omitempty"`
	KmsKeyId                 *string `json:",omitempty"`
	SnapshotId               *string `json:",omitempty"`
	Throughput               *int32  `json:",omitempty"`
	VolumeInitializationRate *int32  `json:",omitempty"`
	VolumeSize               *int32  `json:",omitempty"`
	VolumeType               *string `json:",omitempty"`
}

// CapacityReservationSpecification is the use of capacity reservations.
type CapacityReservationSpecification struct {
	CapacityReservationPreference *string                    `json:",omitempty"`
	CapacityReservationTarget     *CapacityReservationTarget `json:",omitempty"`
}

// CapacityReservationTarget is which capacity reservation is used.
type CapacityReservationTarget struct {
	CapacityReservationId               *string `json:",omitempty"`
	CapacityReservationResourceGroupArn *string `json:",omitempty"`
}

// CPUOptions is the processors.
type CPUOptions struct {
	AmdSevSnp            *string `json:",omitempty"`
	CoreCount            *int32  `json:",omitempty"`
	NestedVirtualization *string `json:",omitempty"`
	ThreadsPerCore       *int32  `json:",omitempty"`
}

// CreditSpecification is the credits of burstable instances.
type CreditSpecification struct {
	CpuCredits *string `json:",omitempty"`
}

// ElasticGPU is an elastic GPU.
type ElasticGPU struct {
	Type *string `json:",omitempty"`
}

// InferenceAccelerator is an elastic inference accelerator.
type InferenceAccelerator struct {
	Count *int32  `json:",omitempty"`
	Type  *string `json:",omitempty"`
}

// EnclaveOptions is the use of enclaves.
type EnclaveOptions struct {
	Enabled *bool `json:",omitempty"`
}

// HibernationOptions is the use of hibernation.
type HibernationOptions struct {
	Configured *bool `json:",omitempty"`
}

// InstanceProfileSpecification is an instance profile by name or ARN.
type InstanceProfileSpecification struct {
	Arn  *string `json:",omitempty"`
	Name *string `json:",omitempty"`
}

// MarketOptions is the market instances are bought at.
type MarketOptions struct {
	MarketType  *string      `json:",omitempty"`
	SpotOptions *SpotOptions `json:",omitempty"`
}

// SpotOptions is the options of Spot instances.
type SpotOptions struct {
	BlockDurationMinutes         *int32     `json:",omitempty"`
	InstanceInterruptionBehavior *string    `json:",omitempty"`
	MaxPrice                     *string    `json:",omitempty"`
	SpotInstanceType             *string    `json:",omitempty"`
	ValidUntil                   *time.Time `json:",omitempty"`
}

// InstanceRequirements is what instance types must have.
type InstanceRequirements struct {
	AcceleratorCount                               *IntRange           `json:",omitempty"`
	AcceleratorManufacturers                       []string            `awswire:"acceleratorManufacturerSet" ec2:"AcceleratorManufacturer" json:",omitempty"`
	AcceleratorNames                               []string            `awswire:"acceleratorNameSet" ec2:"AcceleratorName" json:",omitempty"`
	AcceleratorTotalMemoryMiB                      *IntRange           `json:",omitempty"`
	AcceleratorTypes                               []string            `awswire:"acceleratorTypeSet" ec2:"AcceleratorType" json:",omitempty"`
	AllowedInstanceTypes                           []string            `awswire:"allowedInstanceTypeSet" ec2:"AllowedInstanceType" json:",omitempty"`
	BareMetal                                      *string             `json:",omitempty"`
	BaselineEbsBandwidthMbps                       *IntRange           `json:",omitempty"`
	BaselinePerformanceFactors                     *PerformanceFactors `json:",omitempty"`
	BurstablePerformance                           *string             `json:",omitempty"`
	CpuManufacturers                               []string            `awswire:"cpuManufacturerSet" ec2:"CpuManufacturer" json:",omitempty"`
	ExcludedInstanceTypes                          []string            `awswire:"excludedInstanceTypeSet" ec2:"ExcludedInstanceType" json:",omitempty"`
	InstanceGenerations                            []string            `awswire:"instanceGenerationSet" ec2:"InstanceGeneration" json:",omitempty"`
	LocalStorage                                   *string             `json:",omitempty"`
	LocalStorageTypes                              []string            `awswire:"localStorageTypeSet" ec2:"LocalStorageType" json:",omitempty"`
	MaxSpotPriceAsPercentageOfOptimalOnDemandPrice *int32              `json:",omitempty"`
	MemoryGiBPerVCpu                               *FloatRange         `json:",omitempty"`
	MemoryMiB                                      *IntRange           `json:",omitempty"`
	NetworkBandwidthGbps                           *FloatRange         `json:",omitempty"`
	NetworkInterfaceCount                          *IntRange           `json:",omitempty"`
	OnDemandMaxPricePercentageOverLowestPrice      *int32              `json:",omitempty"`
	RequireEncryptionInTransit                     *bool               `json:",omitempty"`
	RequireHibernateSupport                        *bool               `json:",omitempty"`
	SpotMaxPricePercentageOverLowestPrice          *int32              `json:",omitempty"`
	TotalLocalStorageGB                            *FloatRange         `json:",omitempty"`
	VCpuCount                                      *IntRange           `json:",omitempty"`
}

// IntRange is a range of whole numbers.
type IntRange struct {
	Max *int32 `json:",omitempty"`
	Min *int32 `json:",omitempty"`
}

// PerformanceFactors is the performance wanted.
type PerformanceFactors struct {
	Cpu *CPUFactor `json:",omitempty"`
}

// CPUFactor is the performance of processors.
type CPUFactor struct {
	References []FactorReference `awswire:"referenceSet" ec2:"Reference" json:",omitempty"`
}

// FactorReference is an instance family to compare with.
type FactorReference struct {
	InstanceFamily *string `json:",omitempty"`
}

// FloatRange is a range of numbers.
type FloatRange struct {
	Max *float64 `json:",omitempty"`
	Min *float64 `json:",omitempty"`
}

// LicenseSpecification is a license.
type LicenseSpecification struct {
	LicenseConfigurationArn *string `json:",omitempty"`
}

// MaintenanceOptions is the maintenance of instances.
type MaintenanceOptions struct {
	AutoRecovery *string `json:",omitempty"`
}

// MetadataOptions is the metadata service.
type MetadataOptions struct {
	HttpEndpoint            *string `json:",omitempty"`
	HttpProtocolIpv6        *string `json:",omitempty"`
	HttpPutResponseHopLimit *int32  `json:",omitempty"`
	HttpTokens              *string `json:",omitempty"`
	InstanceMetadataTags    *string `json:",omitempty"`
}

// Monitoring is the monitoring of instances.
type Monitoring struct {
	Enabled *bool `json:",omitempty"`
}

// InterfaceSpecification is a network interface.
type InterfaceSpecification struct {
	AssociateCarrierIpAddress       *bool               `json:",omitempty"`
	AssociatePublicIpAddress        *bool               `json:",omitempty"`
	ConnectionTrackingSpecification *ConnectionTracking `json:",omitempty"`
	DeleteOnTermination             *bool               `json:",omitempty"`
	Description                     *string             `json:",omitempty"`
	DeviceIndex                     *int32              `json:",omitempty"`
	EnaQueueCount                   *int32              `json:",omitempty"`
	EnaSrdSpecification             *ENAExpress         `json:",omitempty"`
	Groups                          []string            `awswire:"groupSet,groupId" ec2:"SecurityGroupId" json:",omitempty"`
	InterfaceType                   *string             `json:",omitempty"`
	Ipv4PrefixCount                 *int32              `json:",omitempty"`
	Ipv4Prefixes                    []IPv4Prefix        `awswire:"ipv4PrefixSet" ec2:"Ipv4Prefix" json:",omitempty"`
	Ipv6AddressCount                *int32              `json:",omitempty"`
	Ipv6Addresses                   []IPv6Address       `awswire:"ipv6AddressesSet" ec2:"Ipv6Addresses" json:",omitempty"`
	Ipv6PrefixCount                 *int32              `json:",omitempty"`
	Ipv6Prefixes                    []IPv6Prefix        `awswire:"ipv6PrefixSet" ec2:"Ipv6Prefix" json:",omitempty"`
	NetworkCardIndex                *int32              `json:",omitempty"`
	NetworkInterfaceId              *string             `json:",omitempty"`
	PrimaryIpv6                     *bool               `json:",omitempty"`
	PrivateIpAddress                *string             `json:",omitempty"`
	PrivateIpAddresses              []PrivateAddress    `awswire:"privateIpAddressesSet" ec2:"PrivateIpAddresses" json:",omitempty"`
	SecondaryPrivateIpAddressCount  *int32              `json:",omitempty"`
	SubnetId                        *string             `json:",omitempty"`
}

// ConnectionTracking is the time-outs of connections.
type ConnectionTracking struct {
	TcpEstablishedTimeout *int32 `json:",omitempty"`
	UdpStreamTimeout      *int32 `json:",omitempty"`
	UdpTimeout            *int32 `json:",omitempty"`
}

// ENAExpress is the use of ENA Express.
type ENAExpress struct {
	EnaSrdEnabled          *bool          `json:",omitempty"`
	EnaSrdUdpSpecification *ENAExpressUDP `json:",omitempty"`
}

// ENAExpressUDP is the use of ENA Express for UDP.
type ENAExpressUDP struct {
	EnaSrdUdpEnabled *bool `json:",omitempty"`
}

// IPv4Prefix is an IPv4 prefix.
type IPv4Prefix struct {
	Ipv4Prefix *string `json:",omitempty"`
}

// IPv6Address is an IPv6 address.
type IPv6Address struct {
	Ipv6Address *string `json:",omitempty"`
}

// IPv6Prefix is an IPv6 prefix.
type IPv6Prefix struct {
	Ipv6Prefix *string `json:",omitempty"`
}

// PrivateAddress is a private address.
type PrivateAddress struct {
	Primary          *bool   `json:",omitempty"`
	PrivateIpAddress *string `json:",omitempty"`
}

// NetworkPerformance is the weighting of bandwidth.
type NetworkPerformance struct {
	BandwidthWeighting *string `json:",omitempty"`
}

// Placement is where instances are.
type Placement struct {
	Affinity             *string `json:",omitempty"`
	AvailabilityZone     *string `json:",omitempty"`
	AvailabilityZoneId   *string `json:",omitempty"`
	GroupId              *string `json:",omitempty"`
	GroupName            *string `json:",omitempty"`
	HostId               *string `json:",omitempty"`
	HostResourceGroupArn *string `json:",omitempty"`
	PartitionNumber      *int32  `json:",omitempty"`
	SpreadDomain         *string `json:",omitempty"`
	Tenancy              *string `json:",omitempty"`
}

// DNSNameOptions is how instances are named.
type DNSNameOptions struct {
	EnableResourceNameDnsAAAARecord *bool   `json:",omitempty"`
	EnableResourceNameDnsARecord    *bool   `json:",omitempty"`
	HostnameType                    *string `json:",omitempty"`
}

// TemplateTags is the tags of what instances come with.
type TemplateTags struct {
	ResourceType *string `json:",omitempty"`
	Tags         []Tag   `awswire:"tagSet" ec2:"Tag" json:",omitempty"`
}

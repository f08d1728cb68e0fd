package iam

import (
	"crypto/sha256"
	"strings"

	"github.com/batchbox/batchbox/internal/batch"
	"github.com/batchbox/batchbox/internal/identity"
)

// awsPolicy is a policy that AWS manages.
type awsPolicy struct {
	id          string
	description string
	document    string // "" if only the name is known
}

// awsPoliciesSince is when they were made, as shown: 2015-02-06, when AWS made the first of them.
const awsPoliciesSince = 1_423_180_800_000

func awsPolicyARN(p batch.Partition, pathAndName string) string {
	p.Account = "aws"
	return identity.ARN(p, "iam", "policy"+pathAndName)
}

// awsPolicies are the AWS-managed policies that can be attached, by path and name
// (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html). Any other name is answered as one
// that AWS does not have. The documents follow the reference; those of services that Batch stacks only pass by are left
// out.
var awsPolicies = func() map[string]*awsPolicy {
	all := map[string]*awsPolicy{}
	for path, names := range awsPolicyNames {
		for name := range strings.FieldsSeq(names) {
			seed := sha256.Sum256([]byte(path + name))
			id, err := identity.NewID(strings.NewReader(string(seed[:])), identity.PrefixPolicy, "000000000000")
			if err != nil {
				panic(err)
			}
			all[path+name] = &awsPolicy{id: id}
		}
	}
	for pathAndName, p := range awsPolicyDocuments {
		all[pathAndName].description, all[pathAndName].document = p[0], p[1]
	}
	return all
}()

var awsPolicyNames = map[string]string{
	"/": `
		AdministratorAccess PowerUserAccess ReadOnlyAccess SecurityAudit IAMFullAccess IAMReadOnlyAccess IAMUserChangePassword
		AWSBatchFullAccess AmazonECS_FullAccess
		AmazonEC2ContainerRegistryFullAccess AmazonEC2ContainerRegistryPowerUser AmazonEC2ContainerRegistryReadOnly
		AmazonEC2ContainerRegistryPullOnly AmazonElasticContainerRegistryPublicFullAccess
		AmazonElasticContainerRegistryPublicPowerUser AmazonElasticContainerRegistryPublicReadOnly
		CloudWatchFullAccess CloudWatchFullAccessV2 CloudWatchReadOnlyAccess CloudWatchLogsFullAccess CloudWatchLogsReadOnlyAccess
		CloudWatchAgentServerPolicy CloudWatchAgentAdminPolicy CloudWatchEventsFullAccess CloudWatchEventsReadOnlyAccess
		AmazonEventBridgeFullAccess AmazonEventBridgeReadOnlyAccess AmazonEventBridgeSchedulerFullAccess AmazonEventBridgeSchedulerReadOnlyAccess
		AmazonS3FullAccess AmazonS3ReadOnlyAccess AmazonS3OutpostsFullAccess AmazonS3TablesFullAccess
		AmazonEC2FullAccess AmazonEC2ReadOnlyAccess AmazonVPCFullAccess AmazonVPCReadOnlyAccess
		AmazonSSMManagedInstanceCore AmazonSSMFullAccess AmazonSSMReadOnlyAccess AmazonSSMPatchAssociation AmazonSSMManagedEC2InstanceDefaultPolicy
		SecretsManagerReadWrite AWSKeyManagementServicePowerUser
		AmazonDynamoDBFullAccess AmazonDynamoDBFullAccess_v2 AmazonDynamoDBReadOnlyAccess AmazonSQSFullAccess AmazonSQSReadOnlyAccess
		AmazonSNSFullAccess AmazonSNSReadOnlyAccess AmazonRDSFullAccess AmazonRDSReadOnlyAccess AmazonRDSDataFullAccess
		AmazonRedshiftFullAccess AmazonRedshiftReadOnlyAccess AmazonElastiCacheFullAccess AmazonElastiCacheReadOnlyAccess
		AWSLambda_FullAccess AWSLambda_ReadOnlyAccess AWSLambdaExecute AWSLambdaInvocation-DynamoDB
		AWSStepFunctionsFullAccess AWSStepFunctionsReadOnlyAccess AWSStepFunctionsConsoleFullAccess
		AmazonElasticFileSystemFullAccess AmazonElasticFileSystemReadOnlyAccess AmazonElasticFileSystemClientFullAccess
		AmazonElasticFileSystemClientReadWriteAccess AmazonElasticFileSystemClientReadOnlyAccess AmazonElasticFileSystemsUtils
		AmazonFSxFullAccess AmazonFSxReadOnlyAccess
		AWSXRayDaemonWriteAccess AWSXrayWriteOnlyAccess AWSXrayReadOnlyAccess AWSXrayFullAccess
		AmazonKinesisFullAccess AmazonKinesisReadOnlyAccess AmazonKinesisFirehoseFullAccess AmazonKinesisFirehoseReadOnlyAccess
		AmazonAthenaFullAccess AWSGlueConsoleFullAccess AmazonRoute53FullAccess AmazonRoute53ReadOnlyAccess
		ElasticLoadBalancingFullAccess ElasticLoadBalancingReadOnly AutoScalingFullAccess AutoScalingReadOnlyAccess
		AWSCloudFormationFullAccess AWSCloudFormationReadOnlyAccess AWSCloudTrail_FullAccess AWSCloudTrail_ReadOnlyAccess
		AWSCodeBuildAdminAccess AWSCodeBuildDeveloperAccess AWSCodeBuildReadOnlyAccess AWSCodePipeline_FullAccess AWSCodeDeployFullAccess
		AmazonSageMakerFullAccess AmazonSageMakerReadOnly AmazonBedrockFullAccess AmazonBedrockReadOnly
		AmazonEKSClusterPolicy AmazonEKSWorkerNodePolicy AmazonEKS_CNI_Policy AmazonEKSServicePolicy AmazonEKSVPCResourceController
		AmazonEKSFargatePodExecutionRolePolicy AmazonAPIGatewayAdministrator AmazonAPIGatewayInvokeFullAccess
		AmazonTextractFullAccess ComprehendFullAccess TranslateFullAccess AmazonTranscribeFullAccess AmazonRekognitionFullAccess
		AWSAccountManagementReadOnlyAccess AWSOrganizationsReadOnlyAccess AWSBillingReadOnlyAccess AWSSupportAccess ResourceGroupsandTagEditorFullAccess
		AWSMarketplaceMeteringFullAccess AWSMarketplaceMeteringRegisterUsage AmazonCognitoPowerUser AmazonCognitoReadOnly AmazonSESFullAccess`,
	"/service-role/": `
		AWSBatchServiceRole AWSBatchServiceEventTargetRole AmazonECSTaskExecutionRolePolicy
		AmazonEC2ContainerServiceforEC2Role AmazonEC2ContainerServiceRole AmazonEC2ContainerServiceEventsRole AmazonEC2ContainerServiceAutoscaleRole
		AmazonECSInfrastructureRolePolicyForVolumes AmazonECSInfrastructureRolePolicyForServiceConnectTransportLayerSecurity
		AmazonEC2SpotFleetTaggingRole AmazonEC2SpotFleetAutoscaleRole AmazonEC2RoleforSSM AmazonEC2RoleforAWSCodeDeploy
		AWSLambdaBasicExecutionRole AWSLambdaVPCAccessExecutionRole AWSLambdaSQSQueueExecutionRole AWSLambdaDynamoDBExecutionRole
		AWSLambdaKinesisExecutionRole AWSLambdaMSKExecutionRole AWSLambdaENIManagementAccess AWSLambdaRole
		AmazonAPIGatewayPushToCloudWatchLogs AWS_ConfigRole AWSCodeDeployRole AWSCodeDeployRoleForLambda AWSCodeStarServiceRole
		AWSGlueServiceRole AWSGlueServiceNotebookRole AmazonElasticMapReduceRole AmazonElasticMapReduceforEC2Role AmazonEMRServicePolicy_v2
		AmazonRDSEnhancedMonitoringRole AmazonSSMAutomationRole AmazonSSMMaintenanceWindowRole AmazonEC2RoleforDataPipelineRole
		CloudWatchEventsBuiltInTargetExecutionAccess CloudWatchEventsInvocationAccess AmazonEBSCSIDriverPolicy AmazonEFSCSIDriverPolicy
		AWSBackupServiceRolePolicyForBackup AWSBackupServiceRolePolicyForRestores AWSAppSyncPushToCloudWatchLogs AmazonDMSVPCManagementRole
		AmazonDMSCloudWatchLogsRole AmazonSNSRole AWSIoTLogging ServerMigrationServiceRole VMImportExportRoleForAWSConnector`,
	"/aws-service-role/": `
		BatchServiceRolePolicy AWSBatchServiceRolePolicyForSageMaker AmazonECSServiceRolePolicy AutoScalingServiceRolePolicy
		AWSEC2SpotServiceRolePolicy AWSEC2SpotFleetServiceRolePolicy AWSEC2FleetServiceRolePolicy AWSElasticLoadBalancingServiceRolePolicy
		AWSApplicationAutoscalingECSServicePolicy AmazonEKSServiceRolePolicy AWSServiceRoleForAmazonEKSNodegroup CloudWatchEventsServiceRolePolicy
		AmazonEventBridgeApiDestinationsServiceRolePolicy AmazonRDSServiceRolePolicy AmazonElasticFileSystemServiceRolePolicy
		ECRReplicationServiceRolePolicy AWSECRPullThroughCache_ServiceRolePolicy AWSLambdaReplicator AWSSupportServiceRolePolicy
		AWSTrustedAdvisorServiceRolePolicy AWSComputeOptimizerServiceRolePolicy`,
	"/job-function/": `
		ViewOnlyAccess SystemAdministrator NetworkAdministrator DatabaseAdministrator DataScientist SupportUser Billing`,
}

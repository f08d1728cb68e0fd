package iam

// awsPolicyDocuments are the descriptions and documents of the policies that Batch stacks attach, by path and name.
var awsPolicyDocuments = map[string][2]string{
	"/AdministratorAccess": {
		"Provides full access to AWS services and resources.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
	},
	"/AWSBatchFullAccess": {
		"Provides full access for AWS Batch resources.",
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["batch:*","cloudwatch:GetMetricStatistics","ec2:DescribeSubnets","ec2:DescribeSecurityGroups","ec2:DescribeKeyPairs","ec2:DescribeVpcs","ec2:DescribeImages","ec2:DescribeLaunchTemplates","ec2:DescribeLaunchTemplateVersions","ecs:DescribeClusters","ecs:Describe*","ecs:List*","eks:DescribeCluster","eks:ListClusters","logs:Describe*","logs:Get*","logs:TestMetricFilter","logs:FilterLogEvents","iam:ListInstanceProfiles","iam:ListRoles"],"Resource":"*"},
			{"Effect":"Allow","Action":["iam:PassRole"],"Resource":["arn:aws:iam::*:role/AWSBatchServiceRole","arn:aws:iam::*:role/service-role/AWSBatchServiceRole","arn:aws:iam::*:role/ecsInstanceRole","arn:aws:iam::*:instance-profile/ecsInstanceRole","arn:aws:iam::*:role/iaws-ec2-spot-fleet-role","arn:aws:iam::*:role/aws-ec2-spot-fleet-role","arn:aws:iam::*:role/AWSBatchJobRole*"]},
			{"Effect":"Allow","Action":["iam:CreateServiceLinkedRole"],"Resource":"arn:aws:iam::*:role/*Batch*","Condition":{"StringEquals":{"iam:AWSServiceName":"batch.amazonaws.com"}}}]}`,
	},
	"/AmazonEC2ContainerRegistryFullAccess": {
		"Provides administrative access to Amazon ECR resources",
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["ecr:*","cloudtrail:LookupEvents"],"Resource":"*"},
			{"Effect":"Allow","Action":["iam:CreateServiceLinkedRole"],"Resource":"*","Condition":{"StringEquals":{"iam:AWSServiceName":["replication.ecr.amazonaws.com"]}}}]}`,
	},
	"/AmazonEC2ContainerRegistryPowerUser": {
		"Provides full access to Amazon EC2 Container Registry repositories, but does not allow repository deletion or policy changes.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:GetRepositoryPolicy","ecr:DescribeRepositories","ecr:ListImages","ecr:DescribeImages","ecr:BatchGetImage","ecr:GetLifecyclePolicy","ecr:GetLifecyclePolicyPreview","ecr:ListTagsForResource","ecr:DescribeImageScanFindings","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"],"Resource":"*"}]}`,
	},
	"/AmazonEC2ContainerRegistryReadOnly": {
		"Provides read-only access to Amazon EC2 Container Registry repositories.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:GetRepositoryPolicy","ecr:DescribeRepositories","ecr:ListImages","ecr:DescribeImages","ecr:BatchGetImage","ecr:GetLifecyclePolicy","ecr:GetLifecyclePolicyPreview","ecr:ListTagsForResource","ecr:DescribeImageScanFindings"],"Resource":"*"}]}`,
	},
	"/AmazonEC2ContainerRegistryPullOnly": {
		"Provides the minimum permissions to pull images from Amazon ECR.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:BatchGetImage","ecr:BatchImportUpstreamImage"],"Resource":"*"}]}`,
	},
	"/AmazonS3FullAccess": {
		"Provides full access to all buckets via the AWS Management Console.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","s3-object-lambda:*"],"Resource":"*"}]}`,
	},
	"/AmazonS3ReadOnlyAccess": {
		"Provides read only access to all buckets via the AWS Management Console.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*","s3-object-lambda:Get*","s3-object-lambda:List*"],"Resource":"*"}]}`,
	},
	"/CloudWatchLogsFullAccess": {
		"Provides full access to CloudWatch Logs",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:*","cloudwatch:GenerateQuery"],"Resource":"*"}]}`,
	},
	"/CloudWatchLogsReadOnlyAccess": {
		"Provides read only access to CloudWatch Logs",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:Describe*","logs:Get*","logs:List*","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","logs:FilterLogEvents","logs:StartLiveTail","logs:StopLiveTail","cloudwatch:GenerateQuery"],"Resource":"*"}]}`,
	},
	"/service-role/AmazonECSTaskExecutionRolePolicy": {
		"Provides access to other AWS service resources that are required to run Amazon ECS tasks",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:BatchGetImage","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`,
	},
	"/service-role/AmazonEC2ContainerServiceforEC2Role": {
		"Default policy for the Amazon EC2 Role for Amazon EC2 Container Service.",
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["ec2:DescribeTags","ecs:CreateCluster","ecs:DeregisterContainerInstance","ecs:DiscoverPollEndpoint","ecs:Poll","ecs:RegisterContainerInstance","ecs:StartTelemetrySession","ecs:UpdateContainerInstancesState","ecs:Submit*","ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:BatchGetImage","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"},
			{"Effect":"Allow","Action":"ecs:TagResource","Resource":"*","Condition":{"StringEquals":{"ecs:CreateAction":["CreateCluster","RegisterContainerInstance"]}}}]}`,
	},
	"/service-role/AWSBatchServiceEventTargetRole": {
		"Policy to enable CloudWatch Event Target for AWS Batch Job Submission",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["batch:SubmitJob"],"Resource":"*"}]}`,
	},
	"/service-role/AWSBatchServiceRole": {
		"Policy for AWS Batch service role which allows access to related services including EC2, Autoscaling, EC2 Container service and Cloudwatch Logs.",
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["ec2:DescribeAccountAttributes","ec2:DescribeInstances","ec2:DescribeInstanceStatus","ec2:DescribeInstanceAttribute","ec2:DescribeSubnets","ec2:DescribeSecurityGroups","ec2:DescribeKeyPairs","ec2:DescribeImages","ec2:DescribeImageAttribute","ec2:DescribeSpotInstanceRequests","ec2:DescribeSpotFleetInstances","ec2:DescribeSpotFleetRequests","ec2:DescribeSpotPriceHistory","ec2:DescribeSpotFleetRequestHistory","ec2:DescribeVpcClassicLink","ec2:DescribeLaunchTemplateVersions","ec2:CreateLaunchTemplate","ec2:DeleteLaunchTemplate","ec2:RequestSpotFleet","ec2:CancelSpotFleetRequests","ec2:ModifySpotFleetRequest","ec2:TerminateInstances","ec2:RunInstances","autoscaling:DescribeAccountLimits","autoscaling:DescribeAutoScalingGroups","autoscaling:DescribeLaunchConfigurations","autoscaling:DescribeAutoScalingInstances","autoscaling:DescribeScalingActivities","autoscaling:CreateLaunchConfiguration","autoscaling:CreateAutoScalingGroup","autoscaling:UpdateAutoScalingGroup","autoscaling:SetDesiredCapacity","autoscaling:DeleteLaunchConfiguration","autoscaling:DeleteAutoScalingGroup","autoscaling:CreateOrUpdateTags","autoscaling:SuspendProcesses","autoscaling:PutNotificationConfiguration","autoscaling:TerminateInstanceInAutoScalingGroup","ecs:DescribeClusters","ecs:DescribeContainerInstances","ecs:DescribeTaskDefinition","ecs:DescribeTasks","ecs:ListAccountSettings","ecs:ListClusters","ecs:ListContainerInstances","ecs:ListTaskDefinitionFamilies","ecs:ListTaskDefinitions","ecs:ListTasks","ecs:CreateCluster","ecs:DeleteCluster","ecs:RegisterTaskDefinition","ecs:DeregisterTaskDefinition","ecs:RunTask","ecs:StartTask","ecs:StopTask","ecs:UpdateContainerAgent","ecs:DeregisterContainerInstance","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents","logs:DescribeLogGroups","iam:GetInstanceProfile","iam:GetRole"],"Resource":"*"},
			{"Effect":"Allow","Action":"ecs:TagResource","Resource":["arn:aws:ecs:*:*:task/*_Batch_*"]},
			{"Effect":"Allow","Action":"iam:PassRole","Resource":["*"],"Condition":{"StringEquals":{"iam:PassedToService":["ec2.amazonaws.com","ec2.amazonaws.com.cn","ecs-tasks.amazonaws.com"]}}},
			{"Effect":"Allow","Action":"iam:CreateServiceLinkedRole","Resource":"*","Condition":{"StringEquals":{"iam:AWSServiceName":["spot.amazonaws.com","spotfleet.amazonaws.com","autoscaling.amazonaws.com","ecs.amazonaws.com"]}}},
			{"Effect":"Allow","Action":["ec2:CreateTags"],"Resource":["*"],"Condition":{"StringEquals":{"ec2:CreateAction":"RunInstances"}}}]}`,
	},
	"/service-role/AmazonEC2SpotFleetTaggingRole": {
		"Allows EC2 Spot Fleet to request, terminate and tag Spot Instances on your behalf.",
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["ec2:DescribeImages","ec2:DescribeSubnets","ec2:RequestSpotInstances","ec2:DescribeInstanceStatus","ec2:RunInstances"],"Resource":["*"]},
			{"Effect":"Allow","Action":"iam:PassRole","Condition":{"StringEquals":{"iam:PassedToService":["ec2.amazonaws.com","ec2.amazonaws.com.cn"]}},"Resource":["*"]},
			{"Effect":"Allow","Action":["ec2:CreateTags"],"Resource":["arn:aws:ec2:*:*:instance/*","arn:aws:ec2:*:*:spot-instances-request/*"],"Condition":{"StringEquals":{"ec2:CreateAction":["RunInstances","RequestSpotInstances"]}}},
			{"Effect":"Allow","Action":["ec2:TerminateInstances"],"Resource":"*"},
			{"Effect":"Allow","Action":["elasticloadbalancing:RegisterInstancesWithLoadBalancer"],"Resource":["arn:aws:elasticloadbalancing:*:*:loadbalancer/*"]},
			{"Effect":"Allow","Action":["elasticloadbalancing:RegisterTargets"],"Resource":["arn:aws:elasticloadbalancing:*:*:*/*"]}]}`,
	},
	"/service-role/AWSLambdaBasicExecutionRole": {
		"Provides write permissions to CloudWatch Logs.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`,
	},
	"/aws-service-role/BatchServiceRolePolicy": {
		"Provides access for the AWS Batch Service to manage required resources, including Amazon EC2 and Amazon ECS resources.",
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["ec2:DescribeAccountAttributes","ec2:DescribeInstances","ec2:DescribeInstanceStatus","ec2:DescribeInstanceAttribute","ec2:DescribeSubnets","ec2:DescribeSecurityGroups","ec2:DescribeKeyPairs","ec2:DescribeImages","ec2:DescribeLaunchTemplateVersions","ec2:DescribeVpcClassicLink","ec2:DescribeSpotPriceHistory","autoscaling:DescribeAutoScalingGroups","autoscaling:DescribeAutoScalingInstances","ecs:DescribeClusters","ecs:DescribeContainerInstances","ecs:DescribeTaskDefinition","ecs:DescribeTasks","ecs:ListClusters","ecs:ListContainerInstances","ecs:ListTaskDefinitions","ecs:ListTasks","logs:DescribeLogGroups","iam:GetInstanceProfile","iam:GetRole"],"Resource":"*"},
			{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream"],"Resource":"arn:aws:logs:*:*:log-group:/aws/batch/job*"},
			{"Effect":"Allow","Action":["logs:PutLogEvents"],"Resource":"arn:aws:logs:*:*:log-group:/aws/batch/job*:log-stream:*"},
			{"Effect":"Allow","Action":["ecs:CreateCluster","ecs:DeleteCluster","ecs:RegisterTaskDefinition","ecs:DeregisterTaskDefinition","ecs:RunTask","ecs:StartTask","ecs:StopTask","ecs:TagResource"],"Resource":"*"},
			{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":["ec2.amazonaws.com","ec2.amazonaws.com.cn","ecs-tasks.amazonaws.com"]}}}]}`,
	},
}

"""The main job by boto3: create, register, submit, list, describe, read logs, delete, with paginators and waiters.

Arguments: image, file that lets the children go on."""
import json
import sys
import time

import boto3
from botocore.exceptions import ClientError

image, gate = sys.argv[1:]
endpoint = __import__("os").environ["AWS_ENDPOINT_URL"]  # botocore before 1.31 does not read it


def client(name):
    return boto3.client(name, endpoint_url=endpoint)


batch, logs, iam, ec2, ecr, sts = map(client, ["batch", "logs", "iam", "ec2", "ecr", "sts"])


def same(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}; want {want!r}")


def pages(api, operation, member, size=None, **parameters):
    config = {"PageSize": size} if size else {}
    found = []
    for page in api.get_paginator(operation).paginate(PaginationConfig=config, **parameters):
        if size and len(page[member]) > size:
            sys.exit(f"{operation}: a page of {len(page[member])}")
        found += page[member]
    return found


def until(what, look, want):
    deadline = time.monotonic() + 120
    while (got := look()) != want:
        if time.monotonic() > deadline:
            sys.exit(f"{what}: {got!r} after two minutes; want {want!r}")
        time.sleep(0.05)


same("account", sts.get_caller_identity()["Account"], "123456789012")

# The neighbours, with the waiters that botocore has for them.
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]}
role = iam.create_role(RoleName="execution", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
iam.get_waiter("role_exists").wait(RoleName="execution")
same("trust", iam.get_role(RoleName="execution")["Role"]["AssumeRolePolicyDocument"], trust)
policy = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
iam.attach_role_policy(RoleName="execution", PolicyArn=policy)
same("policies", [p["PolicyArn"] for p in pages(iam, "list_attached_role_policies", "AttachedPolicies", RoleName="execution")], [policy])
vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
ec2.get_waiter("vpc_available").wait(VpcIds=[vpc])
subnets = [s["SubnetId"] for s in pages(ec2, "describe_subnets", "Subnets", Filters=[{"Name": "vpc-id", "Values": [vpc]}])]
ec2.get_waiter("subnet_available").wait(SubnetIds=subnets)
group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
ec2.get_waiter("security_group_exists").wait(GroupIds=[group])
same("images", [i["imageTags"] for i in pages(ecr, "describe_images", "imageDetails", repositoryName="gated")], [["latest"]])

# Batch.
for name in ["first", "second", "third"]:
    batch.create_compute_environment(computeEnvironmentName=name, type="MANAGED", computeResources={
        "type": "FARGATE", "maxvCpus": 4, "subnets": subnets, "securityGroupIds": [group]})
same("environments", sorted((c["computeEnvironmentName"], c["status"]) for c in pages(batch, "describe_compute_environments", "computeEnvironments", 2)),
     [("first", "VALID"), ("second", "VALID"), ("third", "VALID")])
queue = batch.create_job_queue(jobQueueName="q", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "first"}], tags={"Team": "A"})["jobQueueArn"]
same("queue", [(q["status"], q["tags"]) for q in pages(batch, "describe_job_queues", "jobQueues", 1)], [("VALID", {"Team": "A"})])
for revision in [1, 2, 3]:
    registered = batch.register_job_definition(jobDefinitionName="gated", type="container", platformCapabilities=["FARGATE"], containerProperties={
        "image": image, "executionRoleArn": role, "environment": [{"name": "GATE", "value": gate}],
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}]})
    same("revision", registered["revision"], revision)
same("definitions", sorted(d["revision"] for d in pages(batch, "describe_job_definitions", "jobDefinitions", 2, jobDefinitionName="gated")), [1, 2, 3])

submitted = batch.submit_job(jobName="five", jobQueue=queue, jobDefinition="gated", arrayProperties={"size": 5}, containerOverrides={
    "environment": [{"name": "JOB_INPUT", "value": json.dumps({"message": "Hello", "items": list("abcde")})}]})
job = submitted["jobId"]
after = batch.submit_job(jobName="after", jobQueue="q", jobDefinition="gated:3", dependsOn=[{"jobId": job}], containerOverrides={
    "environment": [{"name": "JOB_INPUT", "value": json.dumps({"message": "Bye", "items": ["f"]})}]})["jobId"]


def describe(*ids):
    return batch.describe_jobs(jobs=list(ids))["jobs"]


def children(status):
    return sorted(j["jobId"] for j in pages(batch, "list_jobs", "jobSummaryList", 2, arrayJobId=job, jobStatus=status))


everyone = [f"{job}:{i}" for i in range(5)]
until("running children", lambda: children("RUNNING"), everyone)
same("the array and what waits for it", [j["status"] for j in describe(job, after)], ["PENDING", "PENDING"])
open(gate, "w").close()
until("the end", lambda: [j["status"] for j in describe(job, after)], ["SUCCEEDED", "SUCCEEDED"])
same("children that succeeded", children("SUCCEEDED"), everyone)
same("exit codes", [j["container"]["exitCode"] for j in describe(*everyone)], [0] * 5)
same("jobs by name", [j["jobId"] for j in pages(batch, "list_jobs", "jobSummaryList", jobQueue="q", filters=[{"name": "JOB_NAME", "values": ["after"]}])], [after])

# Logs.
streams = {j["container"]["logStreamName"] for j in describe(*everyone, after)}
same("streams", {s["logStreamName"] for s in pages(logs, "describe_log_streams", "logStreams", 2, logGroupName="/aws/batch/job")}, streams)
same("begun", sorted(e["message"] for e in pages(logs, "filter_log_events", "events", 2, logGroupName="/aws/batch/job", filterPattern="begin")), [f"begin {c}" for c in "abcdef"])
own = logs.get_log_events(logGroupName="/aws/batch/job", logStreamName=describe(everyone[3])[0]["container"]["logStreamName"], startFromHead=True)
same("log of a child", [e["message"] for e in own["events"]], ["begin d", "end d", '"Hello d"'])

# Refusals are the exceptions of the client.
try:
    batch.submit_job(jobName="x", jobQueue="none", jobDefinition="gated")
    sys.exit("a queue that is not there was taken")
except batch.exceptions.ClientException as e:
    same("operation", e.operation_name, "SubmitJob")
try:
    client("s3").list_buckets()
    sys.exit("there is no S3 here")
except ClientError as e:
    same("an unknown service", e.response["Error"]["Code"], "UnknownServiceException")

# Away with it.
batch.update_job_queue(jobQueue="q", state="DISABLED")
batch.delete_job_queue(jobQueue="q")
until("queues", lambda: pages(batch, "describe_job_queues", "jobQueues"), [])
for name in ["first", "second", "third"]:
    batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
    batch.delete_compute_environment(computeEnvironment=name)
until("environments", lambda: pages(batch, "describe_compute_environments", "computeEnvironments"), [])
for revision in [1, 2, 3]:
    batch.deregister_job_definition(jobDefinition=f"gated:{revision}")
same("active definitions", pages(batch, "describe_job_definitions", "jobDefinitions", status="ACTIVE"), [])
ec2.delete_security_group(GroupId=group)
iam.detach_role_policy(RoleName="execution", PolicyArn=policy)
iam.delete_role(RoleName="execution")
print("done")

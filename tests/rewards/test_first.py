from tests.api import Api


async def test_a_reward_waits_for_someone_nobody_knows(api: Api) -> None:
    answer = await api.issue()
    assert answer.status == 200, answer.text
    assert answer.attributes["status"] == "Created"

import StreamTool

command.run(SampleOptions(), sample)

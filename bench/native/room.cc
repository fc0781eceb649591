// The room of twenty in ns-3: a star of point-to-point links, a relay over UDP in the middle.
// Prints the datagrams that arrived and the processor time that it took. bench/rooms.py builds it.
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <vector>

#include "ns3/core-module.h"
#include "ns3/internet-module.h"
#include "ns3/network-module.h"
#include "ns3/point-to-point-module.h"

using namespace ns3;

static const int MEMBERS = 20;
static const uint16_t PORT = 9003;
static uint64_t arrivals = 0;
static Ptr<Socket> server;
static std::vector<Ptr<Socket>> members;
static std::vector<Address> seats;

static void ServerHears(Ptr<Socket> socket) {
  Address from;
  while (Ptr<Packet> packet = socket->RecvFrom(from)) {
    ++arrivals;
    for (const Address& seat : seats)
      if (seat != from) socket->SendTo(packet->Copy(), 0, seat);
  }
}

static void MemberHears(Ptr<Socket> socket) {
  while (socket->Recv()) ++arrivals;
}

static void Speak(int member, int texts) {
  uint8_t data[46] = {5, 32};
  members[member]->Send(data, sizeof data, 0);
  if (texts > 1) Simulator::Schedule(MilliSeconds(10), &Speak, member, texts - 1);
}

int main(int argc, char* argv[]) {
  int texts = argc > 1 ? std::atoi(argv[1]) : 500;
  NodeContainer nodes;
  nodes.Create(MEMBERS + 1);
  InternetStackHelper().Install(nodes);
  Ptr<RateErrorModel> loss = CreateObject<RateErrorModel>();
  loss->SetUnit(RateErrorModel::ERROR_UNIT_PACKET);
  loss->SetRate(0.02);
  PointToPointHelper link;
  link.SetDeviceAttribute("DataRate", StringValue("10Gbps"));
  link.SetChannelAttribute("Delay", StringValue("12500us"));  // the mean: a link of ns-3 has one delay
  Ipv4AddressHelper addresses("10.0.0.0", "255.255.255.0");
  server = Socket::CreateSocket(nodes.Get(0), UdpSocketFactory::GetTypeId());
  server->Bind(InetSocketAddress(Ipv4Address::GetAny(), PORT));
  server->SetRecvCallback(MakeCallback(&ServerHears));
  for (int member = 0; member < MEMBERS; ++member) {
    NetDeviceContainer ends = link.Install(nodes.Get(0), nodes.Get(member + 1));
    for (uint32_t end = 0; end < 2; ++end)
      ends.Get(end)->SetAttribute("ReceiveErrorModel", PointerValue(loss));
    Ipv4InterfaceContainer interfaces = addresses.Assign(ends);
    addresses.NewNetwork();
    Ptr<Socket> socket = Socket::CreateSocket(nodes.Get(member + 1), UdpSocketFactory::GetTypeId());
    socket->Bind(InetSocketAddress(interfaces.GetAddress(1), PORT));
    socket->Connect(InetSocketAddress(interfaces.GetAddress(0), PORT));
    socket->SetRecvCallback(MakeCallback(&MemberHears));
    members.push_back(socket);
    seats.push_back(InetSocketAddress(interfaces.GetAddress(1), PORT));
    Simulator::Schedule(Seconds(1), &Speak, member, texts);
  }
  std::clock_t begun = std::clock();
  Simulator::Run();
  double seconds = double(std::clock() - begun) / CLOCKS_PER_SEC;
  std::cout << arrivals << " " << seconds << std::endl;
  Simulator::Destroy();
}
